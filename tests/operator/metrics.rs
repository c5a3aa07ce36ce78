//! `vxlan metrics`: what Prometheus is told of a node, and what is made of it: alerts and a dashboard.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use regex::Regex;
use serde_json::Value;

use crate::stage::{Member, Stage, claimed};
use crate::support::lab::{Lab, Net, Node, ipv6, until};
use crate::support::plugin::Call;

/// A pod's name as no pod's should be: quotes, a backslash, the end of a line, and what clears a terminal.
const HOSTILE: &str = "a\"b\\c\n} 1\u{1b}[2J{x";

/// A network with claims, and one of both families with a pod of that name.
fn stage() -> Stage {
    ipv6::is_needed();
    let lab = Lab::new(1);
    let blue = claimed("blue", 100, lab.node(0));
    let mut stage = Stage::new(lab, vec![blue, Net::new("red", 200).dual()]);
    stage.join(0, "web", 2);
    let args = format!("IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME={HOSTILE}");
    stage.join_as(1, "hostile", &args);
    stage
}

fn metrics(stage: &Stage) -> String {
    let said = stage.operate(&["metrics"]);
    assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{said:?}");
    said.stdout
}

/// The value of the one sample that has these words.
fn value(text: &str, words: &[&str]) -> f64 {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let mut lines = lines.filter(|line| words.iter().all(|word| line.contains(word)));
    let line = lines.next().unwrap_or_else(|| panic!("{words:?}\n{text}"));
    assert_eq!(lines.next(), None, "{words:?} is of two");
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// What `promtool` says of something, which must be nothing.
fn promtool_is_content(text: &str) {
    let said = Call::at("promtool")
        .arg("check")
        .arg("metrics")
        .stdin(text)
        .run();
    assert_eq!(
        (said.code, said.stderr.as_str()),
        (0, ""),
        "{said:?}\n{text}"
    );
}

#[test]
fn the_numbers_are_the_nodes_and_promtool_has_nothing_to_say() {
    let stage = stage();
    let before = stage.settled();
    let text = metrics(&stage);
    promtool_is_content(&text);
    for (words, wanted) in [
        (&["vxlan_attachments{", "blue", "\"attached\""][..], 2.0),
        (&["vxlan_attachments{", "blue", "\"unreadable\""], 0.0),
        (&["vxlan_claims{", "\"ok\""], 2.0),
        (&["vxlan_claims{", "\"orphaned\""], 0.0),
        (&["vxlan_facts{", "red", "\"host\"", "\"failed\""], 0.0),
        (&["vxlan_facts{", "blue", "\"pod\"", "\"failed\""], 0.0),
        (&["vxlan_device_up{", "vx_blue"], 1.0),
        (&["vxlan_device_mtu_bytes{", "vx_blue"], 1450.0),
        (&["vxlan_configuration_valid "], 1.0),
        (&["vxlan_peers{", "blue"], 0.0),
        (&["vxlan_verbs_total{", "blue", "ADD", "\"ok\""], 2.0),
        (&["vxlan_verb_duration_seconds_count{", "red", "ADD"], 1.0),
        (&["vxlan_attachment_facts_failed{", "shop/a"], 0.0),
        (&["vxlan_attachments_without_namespace{", "red"], 0.0),
    ] {
        assert_eq!(value(&text, words), wanted, "{words:?}\n{text}");
    }
    assert!(value(&text, &["transmit_packets_total{", "vx_red"]) > 0.0);
    let escaped = r#"pod="shop/a\\\"b\\\\c\\n} 1\\u{1b}[2J{x""#;
    assert!(text.contains(escaped), "{text}");
    let document = stage.operate(&["metrics", "--json"]).ok();
    let families = document["families"].as_array().unwrap().iter();
    let types = families.map(|family| {
        let of = |key: &str| family[key].as_str().unwrap().to_owned();
        format!("# TYPE {} {}", of("name"), of("type"))
    });
    let told = text.lines().filter(|line| line.starts_with("# TYPE "));
    assert!(types.eq(told), "{document}");
    // How far the journal was read is noted, and nothing else.
    let changes = stage.settled().changes_since(&before);
    let is_note = |line: &&String| line.contains("/run/verbs.json");
    assert!(
        changes.len() == 1 && changes.iter().all(|line| is_note(&line)),
        "{changes:?}"
    );
    // What goes wrong is counted, and what was counted before stays.
    stage.members[0].pod.ip("route del default");
    stage.node().ip("link set dev mv_red down");
    let refused = stage.node().ask(&stage.config(0), &stage.members[0].pod);
    refused.add_refused(4);
    let text = metrics(&stage);
    promtool_is_content(&text);
    for (words, wanted) in [
        (&["vxlan_facts{", "blue", "\"pod\"", "\"failed\""][..], 1.0),
        (&["vxlan_attachment_facts_failed{", "shop/web-0"], 1.0),
        (&["vxlan_attachment_facts_failed{", "shop/web-1"], 0.0),
        (&["vxlan_device_up{", "mv_red"], 0.0),
        (&["vxlan_verbs_total{", "blue", "ADD", "\"ok\""], 2.0),
    ] {
        assert_eq!(value(&text, words), wanted, "{words:?}\n{text}");
    }
    assert!(value(&text, &["vxlan_facts{", "red", "\"host\"", "\"failed\""]) > 0.0);
}

#[test]
fn a_journal_that_loses_its_oldest_verbs_takes_nothing_off_the_counters() {
    let mut stage = stage();
    let added = ["vxlan_verbs_total{", "blue", "ADD", "\"ok\""];
    assert_eq!(value(&metrics(&stage), &added), 2.0);
    let log = stage.node().log();
    let aside = log.with_file_name(format!("{}.1", log.file_name().unwrap().to_str().unwrap()));
    for count in [3.0, 4.0] {
        std::fs::rename(&log, &aside).unwrap();
        stage.join(0, &format!("more{count}"), 1);
        assert_eq!(value(&metrics(&stage), &added), count);
    }
    assert_eq!(value(&metrics(&stage), &added), 4.0);
}

#[test]
fn what_the_unit_may_do_is_enough_and_the_file_is_whole_and_for_every_reader() {
    use std::os::unix::fs::PermissionsExt;
    let mut stage = stage();
    // A namespace that a process of another user's holds is looked at as one with a name.
    let pod = stage.node().process_pod("process");
    let result = stage.node().ask(&stage.config(0), &pod).add();
    stage.members.push(Member {
        net: 0,
        pod,
        result,
    });
    let unit = std::fs::read_to_string(deployed("vxlan-cni-metrics.service")).unwrap();
    let may = unit
        .lines()
        .find_map(|line| line.strip_prefix("CapabilityBoundingSet="));
    let may = may
        .unwrap()
        .to_lowercase()
        .replace("cap_", "+")
        .replace(' ', ",");
    let folder = stage.lab().dir().join("textfile");
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("vxlan.prom");
    // What the unit makes read-only, but for where the counts are.
    let node = stage.node().dir().to_str().unwrap();
    let run = stage.node().run_dir();
    let only_read = format!(
        "mount --make-rprivate /; mount --bind {node} {node}; mount -o remount,bind,ro {node}; \
         mount --bind {run} {run}; mount -o remount,bind,rw {run}; if touch {node}/x 2>&-; then exit 9; fi; exec \"$@\"",
        run = run.display()
    );
    for _ in 0..2 {
        let call = stage.call(&["metrics", "--output", file.to_str().unwrap()]);
        let bounded = format!("--bounding-set=-all,{may}");
        let call = call.behind(&["setpriv", "--no-new-privs", &bounded]);
        let call = call.behind(&["unshare", "--mount", "sh", "-ec", &only_read, "sh"]);
        let said = call.run();
        assert_eq!(
            (said.code, said.stdout.as_str(), said.stderr.as_str()),
            (0, "", "")
        );
    }
    let text = std::fs::read_to_string(&file).unwrap();
    promtool_is_content(&text);
    for network in ["blue", "red"] {
        for side in ["host", "pod"] {
            let failed = ["vxlan_facts{", network, side, "\"failed\""];
            assert_eq!(value(&text, &failed), 0.0, "{text}");
        }
    }
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
    assert_eq!(folder.read_dir().unwrap().count(), 1);
    assert!(run.join("verbs.json").exists());
    let host_only = stage.operate(&["metrics", "--no-pods"]);
    promtool_is_content(&host_only.stdout);
    assert!(
        value(
            &host_only.stdout,
            &["vxlan_facts{", "blue", "\"host\"", "\"ok\""]
        ) > 0.0
    );
    for words in ["side=\"pod\"", "vxlan_attachment_facts_failed"] {
        assert!(!host_only.stdout.contains(words), "{words}");
    }
    let nowhere = stage.operate(&["metrics", "--output", "/no/such/folder/vxlan.prom"]);
    assert_eq!(nowhere.code, 1);
    assert!(
        nowhere
            .stderr
            .contains("cannot write /no/such/folder/vxlan.prom"),
        "{nowhere:?}"
    );
}

/// A file of those that a user copies.
fn deployed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("deploy")
        .join(name)
}

#[test]
fn the_alerts_are_sound_and_fire_when_they_should() {
    let alerts = deployed("prometheus-alerts.yml");
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/operator/alerts.yml");
    for (words, file) in [(["check", "rules"], &alerts), (["test", "rules"], &cases)] {
        let call = Call::at("promtool").arg(words[0]).arg(words[1]);
        let said = call.arg(file.to_str().unwrap()).run();
        assert_eq!(said.code, 0, "{said:?}");
    }
    let alerts = std::fs::read_to_string(alerts).unwrap();
    let cases = std::fs::read_to_string(cases).unwrap();
    let names = Regex::new(r"(?m)^ *- alert: ([A-Za-z]+)$").unwrap();
    let untested: Vec<&str> = names
        .captures_iter(&alerts)
        .map(|name| name.get(1).unwrap().as_str())
        .filter(|name| !cases.contains(&format!("alertname=\"{name}\"")))
        .collect();
    assert!(untested.is_empty(), "{untested:?}");
}

/// A Prometheus on a node, which is asked over and over what a file of the node tells.
struct Prometheus<'a> {
    node: &'a Node,
    processes: Vec<Child>,
}

impl<'a> Prometheus<'a> {
    /// On loopback, which nobody shares with the node.
    fn on(node: &'a Node) -> Self {
        let folder = node.dir().join("prometheus");
        std::fs::create_dir_all(&folder).unwrap();
        let config = folder.join("prometheus.yml");
        let scrape = "global: {scrape_interval: 200ms}\nscrape_configs: [{job_name: node, \
            metrics_path: /metrics.txt, static_configs: [{targets: ['127.0.0.1:8000']}]}]\n";
        std::fs::write(&config, scrape).unwrap();
        let (config, folder) = (config.to_str().unwrap(), folder.to_str().unwrap());
        let start = |argv: &[&str]| {
            let mut command = node.command(argv);
            let command = command.stdout(Stdio::null()).stderr(Stdio::null());
            command.stdin(Stdio::null()).spawn().unwrap()
        };
        let serve = ["/usr/bin/python3", "-m", "http.server", "8000"];
        let serve = [&serve[..], &["--bind", "127.0.0.1", "--directory", folder]].concat();
        let prometheus = [
            "prometheus",
            &format!("--config.file={config}"),
            &format!("--storage.tsdb.path={folder}/data"),
            "--web.listen-address=127.0.0.1:9090",
        ];
        Self {
            node,
            processes: vec![start(&serve), start(&prometheus)],
        }
    }

    /// What it is told from now on.
    fn tell(&self, text: &str) {
        let folder = self.node.dir().join("prometheus");
        std::fs::write(folder.join("draft"), text).unwrap();
        std::fs::rename(folder.join("draft"), folder.join("metrics.txt")).unwrap();
    }

    /// What it answers: vectors and scalars; or what is wrong with the question.
    fn answer(&self, query: &str) -> Result<Value, String> {
        let words = ["promtool", "query", "instant", "-o", "json"];
        // One that begins with a minus is no option.
        let query = &format!("({query})");
        let words = [&words[..], &["http://127.0.0.1:9090", query]].concat();
        let output = self.node.command(&words).output().unwrap();
        match output.status.success() {
            true => Ok(serde_json::from_slice(&output.stdout).unwrap()),
            false => Err(String::from_utf8(output.stderr).unwrap()),
        }
    }

    fn has(&self, query: &str) -> bool {
        let answer = self.answer(query);
        answer.is_ok_and(|answer| answer.as_array().is_some_and(|some| !some.is_empty()))
    }
}

impl Drop for Prometheus<'_> {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Every question of the dashboard, with what Grafana puts in.
fn questions() -> Vec<String> {
    let text = std::fs::read_to_string(deployed("grafana-dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().unwrap());
    let exprs = targets.map(|target| target["expr"].as_str().unwrap().to_owned());
    // `label_values(METRIC, LABEL)` is Grafana's own.
    let variables = dashboard["templating"]["list"].as_array().unwrap().iter();
    let variables = variables.filter_map(|variable| variable["definition"].as_str());
    let variables = variables.map(|query| {
        let inner = query.strip_prefix("label_values(").unwrap();
        let (metric, label) = inner.trim_end_matches(')').split_once(", ").unwrap();
        format!("count by ({label}) ({metric})")
    });
    let put_in = |text: String| {
        let text = text.replace("$__rate_interval", "1m");
        text.replace("$instance", ".*").replace("$network", ".*")
    };
    exprs.chain(variables).map(put_in).collect()
}

/// Every expression of the alerts.
fn conditions() -> Vec<String> {
    let text = std::fs::read_to_string(deployed("prometheus-alerts.yml")).unwrap();
    let expr = Regex::new(r"(?m)^ *expr: (?:\|\n((?: {10}.*\n)+)|(.*)$)").unwrap();
    let found = expr.captures_iter(&text);
    let found = found.map(|found| found.get(1).or(found.get(2)).unwrap().as_str().to_owned());
    found.collect()
}

#[test]
fn a_real_prometheus_answers_every_question_of_the_dashboard_and_the_alerts() {
    let mut stage = stage();
    stage.members[0].pod.ip("route del default");
    stage.node().ip("link set dev mv_red down");
    let text = metrics(&stage);
    let known = Regex::new(r"(?m)^# TYPE ([a-z_]+) [a-z]+$").unwrap();
    let known: Vec<&str> = known
        .captures_iter(&text)
        .map(|name| name.get(1).unwrap().as_str())
        .collect();
    let named = Regex::new(r"vxlan_[a-z_]+").unwrap();
    let (questions, conditions) = (questions(), conditions());
    assert!(questions.len() > 30 && conditions.len() > 10);
    let all = || questions.iter().chain(&conditions);
    for query in all() {
        for name in named.find_iter(query) {
            let parts = ["_bucket", "_sum", "_count"];
            let mut whole = parts
                .iter()
                .filter_map(|part| name.as_str().strip_suffix(part));
            let is = |name: &str| known.contains(&name);
            assert!(
                is(name.as_str()) || whole.any(is),
                "{} of {query}",
                name.as_str()
            );
        }
    }
    let unused = known
        .iter()
        .filter(|name| !all().any(|query| query.contains(**name)));
    assert_eq!(unused.collect::<Vec<_>>(), Vec::<&&str>::new());
    stage.join(0, "more", 1);
    let later = metrics(&stage);
    let prometheus = Prometheus::on(stage.node());
    prometheus.tell(&text);
    until("Prometheus has read", || prometheus.has("vxlan_build_info"));
    prometheus.tell(&later);
    let counted = "increase(vxlan_verbs_total{network=\"blue\", outcome=\"ok\"}[1m]) > 0";
    until("Prometheus has read again", || prometheus.has(counted));
    for query in &questions {
        let answer = prometheus
            .answer(query)
            .unwrap_or_else(|why| panic!("{query}: {why}"));
        assert!(
            !answer.as_array().unwrap().is_empty(),
            "nothing is the answer to {query}"
        );
    }
    for query in &conditions {
        prometheus
            .answer(query)
            .unwrap_or_else(|why| panic!("{query}: {why}"));
    }
}
