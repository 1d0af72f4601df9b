//! The same plans on a Ballista cluster: a scheduler, executors, and a session that hands its plans to them.
//!
//! `faces-lake scheduler` and `faces-lake executor` run one with the very code that plans; a cluster that is there already serves as
//! well, if it is of the same version, knows the stores, and loses no executor (see `cluster/lost.rs`). All must see the paths and
//! stores that tables lie in.

mod lost;

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context as _, Result, anyhow};
use ballista::prelude::{SessionConfigExt as _, SessionContextExt as _};
use ballista_core::{config::TaskSchedulingPolicy, utils::default_session_builder};
use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process};
use ballista_scheduler::{
    cluster::BallistaCluster,
    config::SchedulerConfig,
    scheduler_process::{create_scheduler, start_grpc_service},
};
use clap::Args;
use datafusion::{
    error::DataFusionError,
    execution::{SessionStateBuilder, runtime_env::RuntimeEnvBuilder},
    prelude::{SessionConfig, SessionContext},
};

use self::lost::{FailingJobs, Scheduler};
use crate::stores::Stores;

/// Options of a scheduler.
#[derive(Args, Debug)]
pub struct SchedulerArgs {
    /// Address to listen on.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:50050")]
    listen: std::net::SocketAddr,
    /// Seconds without a sign of life after which an executor counts as lost, and what it worked on is done again from its beginning.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    executor_timeout_seconds: u64,
}

/// Options of an executor.
#[derive(Args, Debug)]
pub struct ExecutorArgs {
    /// The scheduler's address.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:50050")]
    scheduler: std::net::SocketAddr,
    /// Host name or address that others reach this executor by, and that it listens on.
    #[arg(long, value_name = "HOST", default_value = "127.0.0.1")]
    host: String,
    /// Port for results.
    #[arg(long, value_name = "PORT", default_value_t = 50051)]
    port: u16,
    /// Port for calls of the scheduler.
    #[arg(long, value_name = "PORT", default_value_t = 50052)]
    grpc_port: u16,
    /// Folder for what is handed on between stages.
    #[arg(long, value_name = "FOLDER")]
    work: PathBuf,
    /// Tasks at once.
    #[arg(long, value_name = "N", default_value_t = 2)]
    tasks: usize,
    /// Memory of all tasks.
    #[arg(long, value_name = "BYTES", default_value = "2GiB", value_parser = crate::bytes::parse)]
    memory_limit: u64,
}

/// A session whose plans run on the cluster of this scheduler.
pub(crate) async fn context(scheduler: &str, config: SessionConfig) -> Result<SessionContext, DataFusionError> {
    // First what plans that are cut into stages need (filters that one stage gives another at run time would wait for ever), then the name:
    // a configuration with a name is taken for one that has all that.
    let config = config.upgrade_for_ballista().with_ballista_job_name("faces-lake");
    let runtime = runtime_with(&Arc::default()).build_arc()?;
    let state = SessionStateBuilder::new().with_config(config).with_runtime_env(runtime).with_default_features().build();
    SessionContext::remote_with_state(scheduler, state).await
}

/// What queries run in, with the stores of this process.
fn runtime_with(stores: &Arc<Stores>) -> RuntimeEnvBuilder {
    RuntimeEnvBuilder::new().with_object_store_registry(Arc::<Stores>::clone(stores))
}

/// What goes on, for who runs a cluster; `RUST_LOG` says how much.
fn log_to_stderr() {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn")).init();
}

/// Runs a scheduler until it is stopped.
///
/// # Errors
/// An address that can't be listened on.
pub async fn run_scheduler(args: &SchedulerArgs) -> Result<()> {
    log_to_stderr();
    let stores = Arc::default();
    let config = SchedulerConfig {
        bind_host: args.listen.ip().to_string(),
        bind_port: args.listen.port(),
        scheduling_policy: TaskSchedulingPolicy::PushStaged,
        external_host: args.listen.ip().to_string(),
        executor_timeout_seconds: args.executor_timeout_seconds,
        expire_dead_executor_interval_seconds: args.executor_timeout_seconds.div_ceil(4).max(1),
        // A stage that can't read what another handed on fails its job: see `cluster/lost.rs`.
        stage_max_failures: 1,
        // A session of its own for each run: what one has listed may have changed at the next.
        override_session_builder: Some(Arc::new(move |config: SessionConfig| {
            let state = default_session_builder(config)?;
            Ok(SessionStateBuilder::new_from_existing(state).with_runtime_env(runtime_with(&stores).build_arc()?).build())
        })),
        ..SchedulerConfig::default()
    };
    let serve = async {
        let cluster = BallistaCluster::new_from_config(&config).await?;
        let scheduler = Scheduler::default();
        let state = FailingJobs::new(cluster.cluster_state(), Arc::clone(&scheduler));
        let cluster = BallistaCluster::new(Arc::new(state), cluster.job_state());
        let created = create_scheduler(cluster, Arc::new(config)).await?;
        start_grpc_service(args.listen, scheduler.get_or_init(|| created).clone()).await
    };
    serve.await.map_err(|error| anyhow!("{error}")).with_context(|| format!("the scheduler on {} ended", args.listen))
}

/// Runs an executor until it is stopped.
///
/// # Errors
/// A folder that can't be made, a scheduler that can't be reached.
pub async fn run_executor(args: &ExecutorArgs) -> Result<()> {
    log_to_stderr();
    std::fs::create_dir_all(&args.work).with_context(|| format!("can't make the folder {}", args.work.display()))?;
    let runtime = runtime_with(&Arc::default()).with_temp_file_path(&args.work).build_arc()?;
    let config = ExecutorProcessConfig {
        bind_host: args.host.clone(),
        task_scheduling_policy: TaskSchedulingPolicy::PushStaged,
        external_host: Some(args.host.clone()),
        port: args.port,
        grpc_port: args.grpc_port,
        scheduler_host: args.scheduler.ip().to_string(),
        scheduler_port: args.scheduler.port(),
        scheduler_connect_timeout_seconds: 30,
        concurrent_tasks: args.tasks,
        work_dir: Some(args.work.display().to_string()),
        executor_heartbeat_interval_seconds: 5,
        memory_pool_size: Some(args.memory_limit),
        override_runtime_producer: Some(Arc::new(move |_| Ok(Arc::clone(&runtime)))),
        ..ExecutorProcessConfig::default()
    };
    let served = start_executor_process(Arc::new(config)).await;
    served.map_err(|error| anyhow!("{error}")).with_context(|| format!("the executor on {}:{} ended", args.host, args.port))
}
