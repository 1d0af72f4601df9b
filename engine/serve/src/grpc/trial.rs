//! `AdminService.TryRules`: what rules would do, without putting them in force.

use faces_core::ids::EventTime;
use faces_ingest::Reason;
use faces_proto::v1;

use super::{Services, deadline::Due, parse, refusal::Refusal};
use crate::{
    clock,
    engine::{Ask, Trial},
    overload::Level,
    rules::{self, Problem},
};

impl Services {
    /// The request's slate under the rules in force, and under those given. Slates tried are not counted in metrics.
    pub(super) fn try_on(&self, request: &v1::TryRulesRequest, due: Due) -> Result<v1::TryRulesResponse, Refusal> {
        let Some(of) = &request.request else {
            return Err(parse::refused("request", Reason::MissingField, "is required").into());
        };
        let asked = self.read(of, due).map_err(|refusal| refusal.under("request"))?;
        let before = Some(self.respond(&asked, &self.engine.recommend(&asked.ask(due)), Level::Full));
        let parsed = match rules::parse(&request.rules) {
            Ok(parsed) => parsed,
            Err(problems) => {
                return Ok(v1::TryRulesResponse { before, problems: told(problems, false), ..v1::TryRulesResponse::default() });
            }
        };
        let at = request.at_ms.map_or_else(clock::now, EventTime::from_millis);
        let answer = self.engine.recommend(&Ask { trial: Some(Trial { rules: &parsed.rules, at }), ..asked.ask(due) });
        let unknown = parsed.unknown(self.engine.state().catalogue());
        Ok(v1::TryRulesResponse {
            before,
            after: Some(self.respond(&asked, &answer, Level::Full)),
            problems: told(unknown, true),
            pins_skipped: i32::try_from(answer.slate.pins_skipped).unwrap_or(i32::MAX),
        })
    }
}

/// Problems that one answer tells: more would not help, and might make it larger than a message may be.
const TOLD_MAX: usize = 1_000;

fn told(mut problems: Vec<Problem>, is_warning: bool) -> Vec<v1::RuleProblem> {
    let left_out = problems.len().saturating_sub(TOLD_MAX);
    problems.truncate(TOLD_MAX);
    if let Some(last) = problems.last().filter(|_| left_out > 0) {
        problems.push(Problem { line: last.line, message: format!("and {left_out} more") });
    }
    let told = |Problem { line, message }| v1::RuleProblem { line: i32::try_from(line).unwrap_or(i32::MAX), message, is_warning };
    problems.into_iter().map(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_very_many_problems_the_first_are_told_and_how_many_more() {
        let problems = |count| (1..=count).map(|line| Problem { line, message: "wrong".into() }).collect();
        assert_eq!(told(problems(TOLD_MAX), true).len(), TOLD_MAX);
        let many = told(problems(TOLD_MAX + 7), true);
        let last = many.last().map(|problem| (problem.line, problem.message.as_str(), problem.is_warning));
        assert_eq!((many.len(), last), (TOLD_MAX + 1, Some((TOLD_MAX as i32, "and 7 more", true))));
    }
}
