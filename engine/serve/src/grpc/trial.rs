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
                let problems = problems.into_iter().map(|problem| told(problem, false)).collect();
                return Ok(v1::TryRulesResponse { before, problems, ..v1::TryRulesResponse::default() });
            }
        };
        let at = request.at_ms.map_or_else(clock::now, EventTime::from_millis);
        let answer = self.engine.recommend(&Ask { trial: Some(Trial { rules: &parsed.rules, at }), ..asked.ask(due) });
        let unknown = parsed.unknown(self.engine.state().catalogue());
        Ok(v1::TryRulesResponse {
            before,
            after: Some(self.respond(&asked, &answer, Level::Full)),
            problems: unknown.into_iter().map(|problem| told(problem, true)).collect(),
            pins_skipped: i32::try_from(answer.slate.pins_skipped).unwrap_or(i32::MAX),
        })
    }
}

fn told(problem: Problem, is_warning: bool) -> v1::RuleProblem {
    v1::RuleProblem { line: i32::try_from(problem.line).unwrap_or(i32::MAX), message: problem.message, is_warning }
}
