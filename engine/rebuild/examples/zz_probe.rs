use faces_rebuild::{covisitation::Normalisation, tables::*, training::assemble, *};
use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io::{BufRead, BufReader, Write},
    time::Instant,
};
const DAY: i64 = 86_400_000;
fn main() {
    let root = "/work/shared/data/xbu";
    let mode = std::env::args().nth(1).unwrap();
    let refit: i64 = std::env::args().nth(2).unwrap().parse().unwrap();
    let t = Instant::now();
    let read = |until| {
        assemble(
            read_events(format!("{root}/dev/events.csv.zst")).unwrap(),
            read_items(format!("{root}/items.csv.zst")).unwrap(),
            read_links(format!("{root}/dev/links.csv.zst")).unwrap(),
            until,
        )
        .unwrap()
    };
    let a = read(None);
    println!("assemble {:?} {:?} persons {}", t.elapsed(), a.report, a.log.person_count());
    let log = a.log;
    let mut params = TrainParams::default();
    if let Some(json) = std::env::args().nth(3) {
        params = serde_json::from_str(&json).unwrap();
    }
    if mode == "time" {
        let t = Instant::now();
        let last = std::cell::Cell::new((Stage::Popularity, t));
        let g = train(&log, &params, &|s, x| {
            if x == 1.0 {
                println!("  {s:?} {:?}", last.get().1.elapsed());
                last.set((s, Instant::now()));
            }
        })
        .unwrap();
        println!("train {:?} {:?} {}", t.elapsed(), g.manifest.counts, g.manifest.id);
        let store = Store::open("/tmp/xbu-gens").unwrap();
        let t = Instant::now();
        let id = store.publish(&g).unwrap();
        println!("publish {:?}", t.elapsed());
        let t = Instant::now();
        let g2 = store.load(&id).unwrap();
        println!("load {:?} {:?}", t.elapsed(), g2.manifest.files);
        let t = Instant::now();
        let e = embedding::embed(&log, &params.embedding, &|_| ());
        println!("embed {:?} {}", t.elapsed(), e.rows().len());
        let lens: Vec<usize> = (0..g.items.len() as u32).map(|i| g.co_visited.neighbours(i).len()).collect();
        println!(
            "neighbours full {} none {} cross {}",
            lens.iter().filter(|&&l| l == 64).count(),
            lens.iter().filter(|&&l| l == 0).count(),
            (0..g.items.len() as u32)
                .map(|i| g.co_visited.neighbours(i).filter(|n| g.items[n.0 as usize].bu != g.items[i as usize].bu).count())
                .sum::<usize>()
        );
        return;
    }
    // persons as the log numbers them: find by (account's events)
    let mut row_of: HashMap<(&str, &str), u32> = HashMap::new();
    for (r, it) in log.items().iter().enumerate() {
        row_of.insert((&it.bu, &it.item_id), r as u32);
    }
    let mut by_event: HashMap<(i64, u32), Vec<u32>> = HashMap::new();
    for it in log.interactions() {
        by_event.entry((it.ts_ms, it.item)).or_default().push(it.person);
    }
    let mut votes: HashMap<(String, String), HashMap<u32, u32>> = HashMap::new();
    for e in read_events(format!("{root}/dev/events.csv.zst")).unwrap() {
        let e = e.unwrap();
        let row = row_of[&(e.bu.as_str(), e.item_id.as_str())];
        let v = votes.entry((e.bu, e.local_user_id)).or_default();
        for p in &by_event[&(e.ts_ms, row)] {
            *v.entry(*p).or_default() += 1;
        }
    }
    let person: HashMap<(String, String), u32> =
        votes.into_iter().map(|(k, v)| (k, v.into_iter().max_by_key(|x| (x.1, x.0)).unwrap().0)).collect();
    let acts = log.interactions();
    let begin: HashMap<u32, usize> = acts.iter().enumerate().rev().map(|(n, a)| (a.person, n)).collect();
    let mut excl: HashMap<(i64, u16), HashSet<u32>> = HashMap::new();
    for l in BufReader::new(File::open("/tmp/q.csv.exclude").unwrap()).lines().skip(1) {
        let l = l.unwrap();
        let f: Vec<&str> = l.split(',').collect();
        let row = row_of[&(f[1], f[2])];
        excl.entry((f[0].parse::<i64>().unwrap() / DAY, log.unit_of(row).unwrap())).or_default().insert(row);
    }
    let mut qs: Vec<(i64, i64, String, String)> = BufReader::new(File::open("/tmp/q.csv").unwrap())
        .lines()
        .skip(1)
        .map(|l| {
            let l = l.unwrap();
            let f: Vec<&str> = l.split(',').collect();
            (f[1].parse().unwrap(), f[0].parse().unwrap(), f[2].into(), f[3].into())
        })
        .collect();
    qs.sort();
    let mut by_time: Vec<_> = acts.to_vec();
    by_time.sort_by_key(|a| a.ts_ms);
    let (mut pop, mut pos, mut day) = (vec![0f64; log.items().len()], 0, 0);
    let mut out = std::io::BufWriter::new(File::create(format!("/tmp/recs-{mode}.csv")).unwrap());
    writeln!(out, "query_id,rank,item_id").unwrap();
    let t0: i64 = std::env::var("T0").map_or(1_388_534_400_000, |x| x.parse().unwrap());
    let mut model: Option<(i64, CoVisitation, embedding::Embeddings)> = None;
    let beta = if mode == "ppmi" { 0.1 } else { 0.02 };
    for (ts, qid, bu, user) in qs {
        let start = t0 + (ts - t0) / (refit * DAY) * (refit * DAY);
        if model.as_ref().is_none_or(|m| m.0 != start) {
            let past = log.before(start);
            model = Some((
                start,
                covisitation::co_visitation(&past, &params.co_visitation, &|_| ()),
                embedding::embed(&past, &params.embedding, &|_| ()),
            ));
        }
        let (_, co, emb) = model.as_ref().unwrap();
        let d = ts / DAY;
        if d != day {
            let f = 0.5f64.powf((d - day) as f64 / 7.0);
            pop.iter_mut().for_each(|p| *p *= f);
            while pos < by_time.len() && by_time[pos].ts_ms < d * DAY {
                pop[by_time[pos].item as usize] += 0.5f64.powf((d as f64 - by_time[pos].ts_ms as f64 / DAY as f64) / 7.0);
                pos += 1;
            }
            day = d;
        }
        let unit = log.units().binary_search(&bu).unwrap() as u16;
        let hist: Vec<_> = person
            .get(&(bu.clone(), user))
            .map_or(vec![], |p| acts[begin[p]..].iter().take_while(|a| a.person == *p && a.ts_ms < ts).collect());
        let rows: Vec<u32> = (0..log.items().len() as u32).filter(|r| log.unit_of(*r) == Some(unit)).collect();
        let mut s = vec![0f64; log.items().len()];
        let mut prof = vec![0f64; emb.dimension()];
        for a in hist.iter().rev().take(100) {
            let w = 0.5f64.powf((ts - a.ts_ms) as f64 / DAY as f64 / 365.0);
            if mode == "ppmi" {
                if let Some(v) = emb.get(a.item) {
                    prof.iter_mut().zip(v).for_each(|(p, v)| *p += w * *v as f64);
                }
            } else {
                for (n, x) in co.neighbours(a.item) {
                    s[n as usize] += w * x as f64;
                }
            }
        }
        if mode == "ppmi" {
            for (r, v) in emb.iter() {
                if log.unit_of(r) == Some(unit) {
                    s[r as usize] = prof.iter().zip(v).map(|(a, b)| a * *b as f64).sum::<f64>().max(0.0);
                }
            }
        }
        let mx = rows.iter().map(|r| s[*r as usize]).fold(0.0, f64::max).max(1e-30);
        let mp = rows.iter().map(|r| pop[*r as usize]).fold(0.0, f64::max).max(1e-9);
        let had: HashSet<u32> = hist.iter().map(|a| a.item).collect();
        let ex = &excl[&(d, unit)];
        let mut sc: Vec<(f64, u32)> = rows
            .iter()
            .filter(|r| !had.contains(r) && !ex.contains(r))
            .map(|r| {
                let p = pop[*r as usize] / mp;
                ((s[*r as usize] / mx + beta) * (p + 0.02).sqrt() + 1e-6 * p, *r)
            })
            .collect();
        sc.select_nth_unstable_by(20, |a, b| b.0.total_cmp(&a.0));
        sc.truncate(20);
        sc.sort_by(|a, b| b.0.total_cmp(&a.0));
        for (k, (_, r)) in sc.iter().enumerate() {
            writeln!(out, "{qid},{},{}", k + 1, log.items()[*r as usize].item_id).unwrap();
        }
    }
    let _ = Normalisation::Symmetric { shrink: 5.0 };
}
