//! What becomes of jobs when an executor is lost: they fail, and who asked for them asks anew.
//!
//! Left to itself, the scheduler would do again only what was lost. But a stage that it rolls back for that hands on once more what those
//! of its tasks hand on that had ended, and the next stage reads both (Ballista 54.1: sums came out doubled).
//!
//! A job that is going to fail gets no more places for tasks: those of a task that has not left when its job fails are never given back, and
//! the executor would do nothing ever after.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use ballista_core::{
    JobId,
    error::Result,
    serde::{
        protobuf::ExecutorHeartbeat,
        scheduler::{ExecutorData, ExecutorMetadata},
    },
};
use ballista_scheduler::{
    cluster::{BoundTask, ClusterState, ClusterStateEventStream, ExecutorSlot},
    config::TaskDistributionPolicy,
    scheduler_server::SchedulerServer,
    state::task_manager::JobInfoCache,
};
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};

/// The scheduler, once there is one.
pub(super) type Scheduler = Arc<OnceLock<SchedulerServer<LogicalPlanNode, PhysicalPlanNode>>>;

/// How long tasks that have their places get to leave before their job fails: they take some milliseconds.
const ON_THE_WAY: Duration = Duration::from_secs(1);

/// The state of a cluster in which a lost executor fails all jobs.
pub(super) struct FailingJobs {
    state: Arc<dyn ClusterState>,
    scheduler: Scheduler,
    failing: Mutex<HashSet<JobId>>,
}

impl FailingJobs {
    pub(super) fn new(state: Arc<dyn ClusterState>, scheduler: Scheduler) -> Self {
        Self { state, scheduler, failing: Mutex::default() }
    }

    /// The jobs without those that are going to fail.
    fn going_on(&self, jobs: Arc<HashMap<JobId, JobInfoCache>>) -> Arc<HashMap<JobId, JobInfoCache>> {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        failing.retain(|job| jobs.contains_key(job));
        if failing.is_empty() {
            return jobs;
        }
        let others = jobs.iter().filter(|(job, _)| !failing.contains(*job));
        Arc::new(others.map(|(job, info)| (job.clone(), info.clone())).collect())
    }
}

#[async_trait]
impl ClusterState for FailingJobs {
    /// Queues the failure of all jobs before anything else is done about the executor: what comes of its loss is queued behind.
    async fn remove_executor(&self, executor: &str) -> Result<()> {
        if let Some(scheduler) = self.scheduler.get() {
            let jobs = scheduler.state.task_manager.get_running_job_cache();
            self.failing.lock().unwrap_or_else(PoisonError::into_inner).extend(jobs.keys().cloned());
            tokio::time::sleep(ON_THE_WAY).await;
            for job in jobs.keys() {
                log::warn!("executor {executor} is lost, job {job} fails");
                scheduler.cancel_job(job.clone()).await?;
            }
        }
        self.state.remove_executor(executor).await
    }

    async fn init(&self) -> Result<()> {
        self.state.init().await
    }

    async fn bind_schedulable_tasks(
        &self,
        distribution: TaskDistributionPolicy,
        jobs: Arc<HashMap<JobId, JobInfoCache>>,
        executors: Option<HashSet<String>>,
    ) -> Result<Vec<BoundTask>> {
        self.state.bind_schedulable_tasks(distribution, self.going_on(jobs), executors).await
    }

    async fn unbind_tasks(&self, slots: Vec<ExecutorSlot>) -> Result<()> {
        self.state.unbind_tasks(slots).await
    }

    async fn register_executor(&self, metadata: ExecutorMetadata, data: ExecutorData) -> Result<()> {
        self.state.register_executor(metadata, data).await
    }

    async fn save_executor_metadata(&self, metadata: ExecutorMetadata) -> Result<()> {
        self.state.save_executor_metadata(metadata).await
    }

    async fn get_executor_metadata(&self, executor: &str) -> Result<ExecutorMetadata> {
        self.state.get_executor_metadata(executor).await
    }

    async fn registered_executor_metadata(&self) -> Vec<ExecutorMetadata> {
        self.state.registered_executor_metadata().await
    }

    async fn save_executor_heartbeat(&self, heartbeat: ExecutorHeartbeat) -> Result<()> {
        self.state.save_executor_heartbeat(heartbeat).await
    }

    fn executor_heartbeats(&self) -> HashMap<String, ExecutorHeartbeat> {
        self.state.executor_heartbeats()
    }

    fn get_executor_heartbeat(&self, executor: &str) -> Option<ExecutorHeartbeat> {
        self.state.get_executor_heartbeat(executor)
    }

    async fn cluster_state_events(&self) -> Result<ClusterStateEventStream> {
        self.state.cluster_state_events().await
    }
}
