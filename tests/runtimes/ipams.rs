//! What the reference IPAMs say that only they do, on the real kernel.

use serde_json::{Value, json};

use crate::prerequisites::require;
use crate::support::lab::{Ask, Lab, Net, Pod, address, ipv6};
use crate::support::plugin::{Call, Program};

#[test]
fn static_takes_an_address_without_a_length_and_its_gateway_of_zeros_is_none() {
    require();
    let lab = Lab::new(1);
    let node = lab.node(0);
    let net = Net::new("blue", 100);
    let before = node.snapshot();
    let addresses = json!([{"address": "10.100.1.7/16", "gateway": "0.0.0.0"}]);
    let fixed = node
        .config(&[&net])
        .ipam(json!({"type": "static", "addresses": addresses}));
    let asked = node
        .config(&[&net])
        .ipam(json!({"type": "static"}))
        .with(json!({"runtimeConfig": {"ips": ["10.100.1.8"]}}));
    for (config, wanted) in [(fixed, "10.100.1.7"), (asked, "10.100.1.8")] {
        let pod = node.pod("web");
        let ask = node.ask(&config, &pod);
        let result = ask.add();
        assert_eq!(address(&result, 0), wanted);
        assert_eq!(result["ips"][0]["address"], format!("{wanted}/16"));
        let ways = pod.show("route show default");
        assert_eq!(ways[0]["gateway"], "10.100.0.1", "{ways}");
        ask.check(&result);
        node.ping(wanted);
        ask.after(&result).del();
        node.snapshot().assert_same(&before);
    }
}

#[test]
fn routes_of_one_destination_are_several_ways_and_one_that_is_lost_is_named_and_mended() {
    require();
    ipv6::is_needed();
    let lab = Lab::new(1);
    let node = lab.node(0);
    let net = Net::new("blue", 100).dual();
    let routes = json!([
        {"dst": "10.9.0.0/16", "gw": "10.100.0.7"},
        {"dst": "10.9.0.0/16", "gw": "10.100.0.8"},
        {"dst": "fd09::/64", "gw": "fd10:64::7"},
        {"dst": "fd09::/64", "gw": "fd10:64::8"},
        {"dst": "fd09::/64", "gw": "fd10:64::9"},
    ]);
    let config = node
        .config(&[&net])
        .with(json!({"ipam": {"routes": routes}}));
    let before = node.snapshot();
    let pod = node.pod("web");
    let ask = node.ask(&config, &pod);
    let result = ask.add();
    let ways = || pod.sh("ip route show 10.9.0.0/16; ip -6 route show fd09::/64");
    let whole = ways();
    for gateway in [
        "10.100.0.7",
        "10.100.0.8",
        "fd10:64::7",
        "fd10:64::8",
        "fd10:64::9",
    ] {
        assert!(
            whole.contains(&format!("via {gateway} dev eth0")),
            "{whole}"
        );
    }
    ask.check(&result);
    for (family, dst, gateway) in [
        ("-4", "10.9.0.0/16", "10.100.0.8"),
        ("-6", "fd09::/64", "fd10:64::8"),
    ] {
        pod.ip(&format!("{family} route del {dst} via {gateway} dev eth0"));
        let said = ask.check_refused(&result, 101);
        let wanted = format!("route {dst} via {gateway} dev eth0: missing");
        assert!(said.contains(&wanted), "{said}");
        pod.ip(&format!(
            "{family} route append {dst} via {gateway} dev eth0"
        ));
        ask.check(&result);
    }
    ask.after(&result).del();
    node.snapshot().assert_same(&before);
}

/// What whereabouts (v0.9.3) does, as it was seen: it gives the first address that neither is leased nor excluded, the
/// gateway's too; one gateway with addresses of both families; without a pod's name it leases nothing, and its DEL does
/// nothing and exits 0; it has no CHECK.
const WHEREABOUTS: &str = r#"
dir=${0%/*}/leases; mkdir -p "$dir"
config=$(cat)
fails() { printf '{"code":999,"msg":"%s"}' "$1"; exit 1; }
case $CNI_COMMAND:$CNI_ARGS in
CHECK:*) fails "CNI CHECK method is not implemented" ;;
DEL:*K8S_POD_NAME=*) rm -f "$dir/$CNI_CONTAINERID" ;;
DEL:*) ;;
ADD:*K8S_POD_NAME=*)
    : >"$dir/$CNI_CONTAINERID"
    four=10.100.0.1 six=fd10:64::1
    case $config in *'"exclude":["10.100.0.1/32"]'*) four=10.100.0.2 ;; esac
    case $config in *'"exclude":["fd10:64::1/128"]'*) six=fd10:64::2 ;; esac
    printf '{"cniVersion":"1.0.0","ips":[{"address":"%s/16","gateway":"10.100.0.1"},
        {"address":"%s/112","gateway":"10.100.0.1"}],"dns":{}}' $four $six ;;
ADD:*) fails "error at storage engine: IPAM client initialization error: no pod name" ;;
*) printf '{"code":4,"msg":"unknown CNI_COMMAND: %s"}' "$CNI_COMMAND"; exit 1 ;;
esac
"#;

/// A way in which a pod comes off its network.
type TakesOff<'a> = &'a dyn Fn(&Ask, &Value, &mut Pod);

#[test]
fn whereabouts_never_leases_the_gateway_and_frees_what_any_verb_takes_off() {
    require();
    ipv6::is_needed();
    let lab = Lab::new(1);
    let node = lab.node(0);
    let net = Net::new("blue", 100)
        .dual()
        .with(json!({"excludeFirst": 0, "excludeLast": 0}));
    let config = node.config(&[&net]).ipam(json!({"type": "whereabouts"}));
    let plugins = lab.script("whereabouts", "whereabouts", WHEREABOUTS);
    let leased = || std::fs::read_dir(plugins.join("leases")).unwrap().count();
    let args = "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web";
    let before = node.snapshot();
    let del = |ask: &Ask, result: &Value, _: &mut Pod| ask.after(result).del();
    let gc = |ask: &Ask, _: &Value, _: &mut Pod| {
        let empty = json!({"cniVersion": "1.1.0", "cni.dev/valid-attachments": []});
        let ask = ask.clone().args("").config(&config.clone().with(empty));
        let ask = ask.netns("").ifname("").env("CNI_CONTAINERID", "");
        ask.say("GC").ok();
    };
    // The node's operator, after a pod that went without a DEL.
    let conf = lab.dir().join("10-vxlan.conf");
    std::fs::write(&conf, config.value().to_string()).unwrap();
    let operator = |_: &Ask, _: &Value, pod: &mut Pod| {
        pod.end();
        let [nsenter, net] = node.enter();
        let call = Call::of(Program::Vxlan).behind(&[&nsenter, &net]);
        let call = call.env("CNI_PATH", plugins.to_str().unwrap());
        let call = call.arg("gc").arg("--yes").arg("--conf");
        let said = call.arg(conf.to_str().unwrap()).run();
        assert_eq!(said.code, 0, "{said:?}");
    };
    let takes_off: [TakesOff<'_>; 3] = [&del, &gc, &operator];
    for take_off in takes_off {
        let mut pod = node.pod("web");
        let ask = node.ask(&config, &pod).plugins_first(&plugins).args(args);
        let result = ask.add();
        for (number, (own, gateway)) in [("10.100.0.2", "10.100.0.1"), ("fd10:64::2", "fd10:64::1")]
            .iter()
            .enumerate()
        {
            assert_eq!(address(&result, number), *own);
            assert_eq!(result["ips"][number]["gateway"], *gateway, "{result}");
            pod.ping(gateway);
        }
        // As CNI's macvlan says it.
        let said = ask.check_refused(&result, 999);
        assert!(said.contains("CHECK method is not implemented"), "{said}");
        assert_eq!(leased(), 1);
        take_off(&ask, &result, &mut pod);
        assert_eq!(leased(), 0);
        node.snapshot().assert_same(&before);
    }
}
