//! Different runtimes side by side.

use super::containerd::Containerd;
use super::podman::Podman;
use super::{Container, LIST, Scene, configured, meet, shared};
use crate::support::lab::address;

#[test]
fn containers_of_podman_and_of_containerd_on_the_same_and_on_other_nodes_reach_each_other() {
    let scene = Scene::new();
    let (one, two) = (scene.node(0), scene.node(1));
    let blue = shared("blue", 100);
    let houses = [
        scene.house(0, &configured(one, &[&blue])),
        scene.house(1, &configured(two, &[&blue])),
    ];
    let podman = Podman::new(&houses[0]);
    let (here, there) = (Containerd::new(&houses[0]), Containerd::new(&houses[1]));
    let (web, cache, db) = (podman.run("web", LIST), here.run("cache"), there.run("db"));
    meet((one, &web), (two, &db), &blue);
    web.ping(&address(&cache.result(), 0));
    cache.ping(&address(&db.result(), 0));
    cache.end("SIGTERM");
    web.ping(&address(&db.result(), 0));
    podman.ok(&["rm", "--force", "--time", "0", "web"]);
    db.end("SIGTERM");
    scene.assert_nothing_left(&[&houses[0], &houses[1]]);
}
