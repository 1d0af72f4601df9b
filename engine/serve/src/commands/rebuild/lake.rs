//! The way over a data lake: `faces-lake`, a program of its own, prepares tables by SQL; training then reads those.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use faces_rebuild::{Prepared, TrainParams, prepared::Counting};
use glob::{Pattern, glob};

/// Options of a rebuild over a data lake.
#[derive(Args, Debug)]
#[command(next_help_heading = "Over a data lake")]
pub struct LakeArgs {
    /// The program that prepares the tables; default: `faces-lake` beside this program.
    #[arg(long, value_name = "FILE")]
    lake_bin: Option<PathBuf>,
    /// Folder for prepared tables, a new one or one that a rebuild left: emptied before and removed after; default: beside the folder of
    /// generations.
    #[arg(long, value_name = "FOLDER")]
    work: Option<PathBuf>,
    /// Memory of SQL (4GiB, 500MB); beyond it, it spills, and pairs that would take training more than this are counted by SQL.
    #[arg(long, value_name = "BYTES")]
    memory_limit: Option<String>,
    /// Folder to spill to.
    #[arg(long, value_name = "FOLDER")]
    spill: Option<PathBuf>,
    /// Run the SQL on the cluster whose scheduler has this address (df://host:port).
    #[arg(long, value_name = "URL")]
    cluster: Option<String>,
    /// Go on where a rebuild of the same inputs was killed: the steps of SQL and of training that it has made are kept.
    #[arg(long)]
    pub(super) resume: bool,
}

/// The tables as they were named.
#[derive(Clone, Copy, Debug)]
pub struct Named<'a> {
    /// Events.
    pub events: &'a str,
    /// Items.
    pub items: &'a str,
    /// Links.
    pub links: Option<&'a str>,
}

impl Named<'_> {
    /// Whether one of them is no single local file: a folder, a pattern or a URL.
    pub fn is_lake(&self) -> bool {
        let names = [Some(self.events), Some(self.items), self.links].into_iter().flatten();
        names.into_iter().any(|name| {
            let path = Path::new(name);
            name.contains("://") || path.is_dir() || (name.contains(['*', '?', '[']) && !path.exists())
        })
    }

    /// That every local name names something: what is in a store, the program says.
    fn check(&self) -> Result<()> {
        let names = [Some(self.events), Some(self.items), self.links].into_iter().flatten();
        match names.filter(|name| !name.contains("://")).find(|name| !is_there(name)) {
            None => Ok(()),
            Some(name) => bail!(
                "{name} names no file; give a Parquet file, a folder of such, a pattern (`lake/events/day=*/*.parquet`) or a URL"
            ),
        }
    }
}

fn is_there(name: &str) -> bool {
    let path = Path::new(name);
    if path.is_file() {
        return true;
    }
    let pattern = if path.is_dir() { format!("{}/**/*", Pattern::escape(name)) } else { name.to_owned() };
    glob(&pattern).is_ok_and(|found| found.flatten().any(|path| path.is_file()))
}

/// Where the prepared tables lie.
pub fn work_folder(args: &LakeArgs, generations: &Path) -> PathBuf {
    args.work.clone().unwrap_or_else(|| {
        let mut name = generations.file_name().unwrap_or_default().to_owned();
        name.push(".prepared");
        generations.with_file_name(name)
    })
}

/// That nothing lies in the folder but what a rebuild left: all of it is removed in the end.
fn check_work(work: &Path) -> Result<()> {
    let is_ours = work.join("request.json").is_file(); // what `faces-lake` writes first
    let is_empty = || fs::read_dir(work).map_or(true, |mut entries| entries.next().is_none());
    ensure!(
        is_ours || is_empty(),
        "{} holds other things, and is removed after a rebuild; name a new folder by --work",
        work.display()
    );
    Ok(())
}

/// Has the tables prepared, and opens them.
///
/// # Errors
/// A name of nothing; a folder of other things; a program that is missing or fails (it has said why on standard error), or tables that can't be read.
pub fn prepare(args: &LakeArgs, named: Named<'_>, until_ms: Option<i64>, params: &TrainParams, work: &Path) -> Result<Prepared> {
    named.check()?;
    check_work(work)?;
    let program = match &args.lake_bin {
        Some(program) => program.clone(),
        None => std::env::current_exe().context("can't tell where this program lies")?.with_file_name("faces-lake"),
    };
    let mut command = Command::new(&program);
    command.args(["prepare", "--events", named.events, "--items", named.items]).arg("--out").arg(work);
    command.arg("--counting").arg(serde_json::to_string(&Counting::from(params))?);
    let given = |name: &'static str, value: Option<String>| value.map(|value| [name.to_owned(), value]);
    let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
    let options = [
        given("--links", named.links.map(str::to_owned)),
        given("--until-ms", until_ms.map(|until_ms| until_ms.to_string())),
        given("--memory-limit", args.memory_limit.clone()),
        given("--spill", path(&args.spill)),
        given("--cluster", args.cluster.clone()),
    ];
    command.args(options.into_iter().flatten().flatten());
    // Training holds the interactions anyway, and counts their pairs sooner than SQL on the same machine, where there is room.
    command.args(args.cluster.is_none().then_some("--without-pairs"));
    command.args(args.resume.then_some("--resume"));
    // What people read is ours to print; errors and progress are the program's own.
    command.stdout(std::process::Stdio::null());
    let status = command.status().map_err(|error| match error.kind() {
        ErrorKind::NotFound => anyhow::anyhow!(
            "{} is not there, and tables of many files need it; build it with \
             `cargo build --release --manifest-path engine/lake/Cargo.toml --target-dir target`, or name it by --lake-bin",
            program.display()
        ),
        _ => anyhow::Error::new(error).context(format!("can't start {}", program.display())),
    })?;
    if !status.success() {
        bail!("{} failed ({status}); nothing was published", program.display());
    }
    Ok(Prepared::open(work)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_no_file_is_told_before_the_program_is_looked_for() {
        let folder = tempfile::tempdir().unwrap();
        let (lake, items) = (folder.path().join("[lake]/day=1"), folder.path().join("items.csv"));
        fs::create_dir_all(&lake).unwrap();
        fs::write(&items, "item_id,bu\n").unwrap();
        let names = |events: &str, items: &str| {
            let named = Named { events: &folder.path().join(events).display().to_string(), items, links: None };
            named.check().map_err(|error| error.to_string())
        };
        let items = items.display().to_string();
        for events in ["[[]lake]/day=*/*.parquet", "[lake]", "none/*"] {
            assert!(names(events, &items).unwrap_err().contains(&format!("{events} names no file; give a Parquet file")));
        }
        fs::write(lake.join("part.parquet"), "").unwrap();
        for events in ["[[]lake]/day=*/*.parquet", "[lake]", "[lake]/day=1/part.parquet"] {
            assert_eq!(names(events, &items), Ok(()));
        }
        assert!(names("[lake]", "nothing.csv").unwrap_err().contains("nothing.csv names no file"));
        assert_eq!(names("[lake]", "s3://lake/items.parquet"), Ok(()));
    }

    #[test]
    fn a_folder_of_other_things_is_not_taken_to_work_in() {
        let folder = tempfile::tempdir().unwrap();
        let work = folder.path();
        for fits in [work, &work.join("new")] {
            check_work(fits).unwrap();
        }
        fs::write(work.join("thesis.tex"), "").unwrap();
        let refused = check_work(work).unwrap_err().to_string();
        assert!(refused.contains("holds other things") && refused.contains("--work"), "{refused}");
        fs::write(work.join("request.json"), "{}").unwrap();
        check_work(work).unwrap();
    }
}
