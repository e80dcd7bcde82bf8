//! What users of the host and root's own programs have to do with directories that a service may write.

use super::*;

const USER: &str = "program = \"/bin/sh\"\nuser = \"www\"\n[root]\nclosure = \"off\"\n";

fn with(lines: &str) -> String {
    format!("{USER}{lines}")
}

#[test]
fn writable_directories_that_everybody_can_enter_are_named() {
    let mut world = World::freebsd();
    world
        .dir("/srv/open", 0o755, 80, 80)
        .dir("/srv/shut", 0o750, 80, 80);
    world
        .dir("/srv/deep", 0o700, 0, 0)
        .dir("/srv/deep/in", 0o755, 80, 80);
    // By a mode that root alone can change.
    world.dir("/srv/roots", 0o750, 0, 80);
    let lines = with("rw = [\"/srv/open\", \"/srv/shut\", \"/srv/deep/in\", \"/srv/roots\"]");
    let (host, _) = look(&world, &lines, 0, None).unwrap();
    let profile = profile(&lines);
    let named: Vec<&str> = host
        .enterable_writables(&profile)
        .map(|(writable, _)| writable.path.as_str())
        .collect();
    assert_eq!(named, ["/srv/open", "/srv/shut"]);
}

#[test]
fn writable_directories_in_which_the_service_can_exchange_names_are_named() {
    let mut world = World::freebsd();
    world
        .dir("/srv/own", 0o700, 80, 0)
        .dir("/srv/roots", 0o755, 0, 80)
        .dir("/srv/groups", 0o770, 0, 80)
        .dir("/srv/everybodys", 0o1777, 0, 0);
    let rw = ["groups", "everybodys"]
        .map(|name| format!("{{ path = \"/srv/{name}\", untrusted = true }}"));
    let lines = with(&format!(
        "rw = [\"/srv/own\", \"/srv/roots\", {}]",
        rw.join(", ")
    ));
    let (host, _) = look(&world, &lines, 0, None).unwrap();
    let linkable = host.linkable_writables(&profile(&lines)).join(" ");
    assert_eq!(linkable, "/srv/own /srv/groups /srv/everybodys");
}
