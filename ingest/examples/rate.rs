use std::{sync::Arc, time::{Duration, Instant, SystemTime, UNIX_EPOCH}};
use faces_core::{record::{Apply, Outcome, Record}, state::State};
use faces_ingest::{*, decode::Format, topics::{Layout, ensure}, producer::BulkOptions};
use faces_proto::v1;
struct Nothing;
impl Apply for Nothing { fn apply(&self, _: &Record) -> Outcome { Outcome::Applied } }
fn event(n: u64, t: i64) -> v1::Event {
    v1::Event { event_id: format!("evt-{n:016}"), event_time_ms: t, bu: "video".into(),
        source: Some(v1::SourceKey { bu: "video".into(), kind: 1, id: format!("user-{:08}", n.wrapping_mul(0x9E3779B97F4A7C15) % 100_000) }),
        r#type: 2, item_id: format!("item-{:06}", n % 20_000), placement: "home.top".into(), ..Default::default() }
}
fn threads() -> Vec<(String, f64)> {
    std::fs::read_dir("/proc/self/task").unwrap().flatten().map(|e| {
        let s = std::fs::read_to_string(e.path().join("stat")).unwrap_or_default();
        let name = s.split('(').nth(1).and_then(|r| r.split(')').next()).unwrap_or("").to_owned();
        let f: Vec<f64> = s.rsplit(')').next().unwrap_or("").split_whitespace().map(|x| x.parse().unwrap_or(0.0)).collect();
        (name, (f.get(11).unwrap_or(&0.0) + f.get(12).unwrap_or(&0.0)) / 100.0)
    }).filter(|t| t.1 > 0.02).collect()
}
fn main() {
    let n: u64 = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(500_000);
    let broker = faces_testbroker::Broker::start().unwrap();
    let rt = tokio::runtime::Runtime::new().unwrap();
    let cluster = Cluster::at(broker.address());
    let topics = Topics::new("faces").unwrap();
    rt.block_on(ensure(&cluster, &topics, &["video"], Layout { partitions: 16, replication: 1 })).unwrap();
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    let w: &'static LogWriter = Box::leak(Box::new(LogWriter::new(&WriterConfig { brokers: broker.address().into(), delivery_ms_max: 60_000, ..Default::default() }).unwrap()));
    let t = Instant::now(); let at = now();
    let r = rt.block_on(w.write_bulk((0..n).map(|i| faces_ingest::encode::event(&topics, &event(i, at - (n - i) as i64), Format::Protobuf)), BulkOptions::default(), |_| {}));
    println!("written {} failed {} bytes/event {:.0} in {:.2}s = {:.0}/s", r.written, r.failures.len(), r.bytes as f64 / r.written as f64, t.elapsed().as_secs_f64(), r.written as f64 / t.elapsed().as_secs_f64());
    for (name, sink) in [("nothing", Arc::new(Nothing) as Arc<dyn Apply>), ("state", Arc::new(State::default()))] {
        let before = threads();
        let t = Instant::now();
        let ingest = Ingest::start(IngestConfig { brokers: broker.address().into(), group_id: name.into(), ..Default::default() }, sink).unwrap();
        let p = ingest.progress();
        while p.counts().consumed() < n { std::thread::sleep(Duration::from_millis(2)); }
        let s = t.elapsed().as_secs_f64();
        println!("{name}: {:?} in {s:.2}s = {:.0}/s pauses {} caught_up {}", p.counts(), n as f64 / s, p.pauses(), p.caught_up());
        let total: f64 = threads().iter().map(|t| t.1).sum::<f64>() - before.iter().map(|t| t.1).sum::<f64>();
        println!("   cpu {:.2} us/event; {:?}", total * 1e6 / n as f64, threads());
        // freshness
        let mut lat = Vec::new();
        for i in 0..300 {
            let want = p.counts().consumed() + 1;
            let rec = faces_ingest::encode::event(&topics, &event(n + i + 1_000_000, now()), Format::Protobuf);
            let t = Instant::now();
            let done = rt.spawn({ let rec = vec![rec]; async move { w.write(rec).await } });
            while p.counts().consumed() < want { std::thread::sleep(Duration::from_micros(100)); }
            lat.push(t.elapsed().as_secs_f64() * 1e3);
            rt.block_on(done).unwrap();
        }
        lat.sort_by(f64::total_cmp);
        println!("   write->applied ms p50 {:.1} p90 {:.1} p99 {:.1} max {:.1}; view age {}", lat[150], lat[270], lat[297], lat[299], p.view_age_ms());
        let t = Instant::now(); ingest.stop().unwrap(); println!("   stop {:?} commits {} fail {}", t.elapsed(), p.commits(), p.commit_failures());
    }
}
