//! Where SQL runs: in this process, within a memory limit and with a folder to spill to, or on a cluster.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

use datafusion::{
    arrow::{datatypes::Schema, record_batch::RecordBatch},
    common::DataFusionError,
    dataframe::DataFrameWriteOptions,
    execution::{
        SessionStateBuilder,
        disk_manager::{DiskManagerBuilder, DiskManagerMode},
        memory_pool::FairSpillPool,
        runtime_env::RuntimeEnvBuilder,
    },
    parquet::arrow::ArrowWriter,
    prelude::{ParquetReadOptions, SessionConfig, SessionContext},
};

use crate::{LakeError, stores::Stores};

/// What SQL may use of this machine.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Memory of sorts, joins and sums in all; beyond, they spill.
    pub memory_bytes: usize,
    /// The folder they spill to.
    pub spill: PathBuf,
    /// Threads.
    pub threads: usize,
}

/// A place where SQL runs.
pub struct Session {
    context: SessionContext,
    attempts: u32,
}

/// How often a query is tried on a cluster: it fails when an executor is lost under it.
#[cfg(feature = "cluster")]
const ATTEMPTS: u32 = 4;

impl std::fmt::Debug for Session {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Session").field("id", &self.context.session_id()).finish_non_exhaustive()
    }
}

impl Session {
    /// In this process.
    ///
    /// # Errors
    /// [`LakeError::Sql`], [`LakeError::Io`] for a spill folder that can't be made.
    pub fn local(limits: &Limits) -> Result<Self, LakeError> {
        std::fs::create_dir_all(&limits.spill).map_err(LakeError::io("make the folder", &limits.spill))?;
        let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Directories(vec![limits.spill.clone()]));
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(FairSpillPool::new(limits.memory_bytes)))
            .with_disk_manager_builder(disk)
            .with_object_store_registry(Arc::new(Stores::default()))
            .build_arc()
            .map_err(LakeError::sql("start"))?;
        let state =
            SessionStateBuilder::new().with_config(config(limits.threads)).with_runtime_env(runtime).with_default_features();
        Ok(Self { context: SessionContext::new_with_state(state.build()), attempts: 1 })
    }

    /// On the cluster whose scheduler has this address (`df://host:port`). Its executors must see the same paths and stores.
    ///
    /// # Errors
    /// [`LakeError::Sql`].
    #[cfg(feature = "cluster")]
    pub async fn cluster(scheduler: &str, partitions: usize) -> Result<Self, LakeError> {
        let context = crate::cluster::context(scheduler, config(partitions)).await.map_err(LakeError::sql("connect"))?;
        Ok(Self { context, attempts: ATTEMPTS })
    }

    /// Makes Parquet files known as a table; without a schema, as the files have it.
    ///
    /// # Errors
    /// [`LakeError::Sql`].
    pub async fn register_files(&self, name: &str, files: Vec<String>, schema: Option<&Schema>) -> Result<(), LakeError> {
        let options = ParquetReadOptions { schema, ..ParquetReadOptions::default() };
        let register = async {
            let table = self.context.read_parquet(files, options).await?;
            self.context.deregister_table(name)?;
            self.context.register_table(name, table.into_view())
        };
        register.await.map(drop).map_err(LakeError::sql(name))
    }

    /// Makes a query known as a table.
    ///
    /// # Errors
    /// [`LakeError::Sql`].
    pub async fn register_view(&self, name: &str, sql: &str) -> Result<(), LakeError> {
        let register = async {
            let table = self.context.sql(sql).await?;
            self.context.deregister_table(name)?;
            self.context.register_table(name, table.into_view())
        };
        register.await.map(drop).map_err(LakeError::sql(name))
    }

    /// Answers a query whose result is small.
    ///
    /// # Errors
    /// [`LakeError::Sql`].
    pub async fn collect(&self, step: &str, sql: &str) -> Result<Vec<RecordBatch>, LakeError> {
        self.tried(step, async |_| self.context.sql(sql).await?.collect().await).await
    }

    /// Runs a query, on a cluster again where it fails.
    async fn tried<T>(&self, step: &str, run: impl AsyncFn(u32) -> Result<T, DataFusionError>) -> Result<T, LakeError> {
        let mut attempt = 1;
        loop {
            match run(attempt).await {
                Err(error) if attempt < self.attempts => eprintln!("step {step} failed, trying again: {error}"),
                done => return done.map_err(LakeError::sql(step)),
            }
            attempt += 1;
        }
    }

    /// Writes a query's result below `folder` as Parquet: one file `part.parquet` if order matters, else as many as come, at least one.
    ///
    /// # Errors
    /// [`LakeError::Sql`].
    pub async fn write(&self, step: &str, sql: &str, folder: &Path, is_ordered: bool) -> Result<(), LakeError> {
        let write = async |attempt: u32| {
            // A folder of its own: tasks of an attempt that failed may go on for a while, wherever they run.
            let own = folder.join(format!("attempt-{attempt}"));
            std::fs::create_dir(&own)?;
            let part = own.join("part.parquet");
            let target = if is_ordered { part.display().to_string() } else { format!("{}/", own.display()) };
            let result = self.context.sql(sql).await?;
            let schema = Arc::new(result.schema().as_arrow().clone());
            let options = DataFrameWriteOptions::new().with_single_file_output(is_ordered);
            result.write_parquet(&target, options, None).await?;
            // Of a result without rows no file is written, and who reads it next would not know its columns.
            if std::fs::read_dir(&own)?.next().is_none() {
                ArrowWriter::try_new(File::create(&part)?, schema, None)?.close()?;
            }
            for entry in std::fs::read_dir(&own)? {
                let entry = entry?;
                std::fs::rename(entry.path(), folder.join(entry.file_name()))?;
            }
            for attempt in 1..=attempt {
                // A best effort: nothing is looked for in there any more.
                let _ = std::fs::remove_dir_all(folder.join(format!("attempt-{attempt}")));
            }
            Ok(())
        };
        self.tried(step, write).await
    }
}

fn config(threads: usize) -> SessionConfig {
    SessionConfig::new()
        .with_target_partitions(threads)
        // Its guess of how many rows a join leaves would have the events themselves held in memory. Queries say which side is.
        .set_bool("datafusion.optimizer.join_reordering", false)
        // The side that is held is held once, and what is read past it stays on its thread. With longer batches: a quarter of a share of pairs.
        .set_bool("datafusion.optimizer.repartition_joins", false)
        .set_str("datafusion.execution.batch_size", "32768")
        // Of pairs most are new, so that to sum them up before they are sent to their thread is work for nothing: a fifth of it.
        .set_str("datafusion.execution.skip_partial_aggregation_probe_ratio_threshold", "0.3")
        .set_str("datafusion.execution.parquet.compression", "zstd(1)")
        .set_bool("datafusion.execution.parquet.binary_as_string", true)
}
