//! Of a package's script, which is root inside and writes on the host.

use super::attested;
use jailrun::kernel::Ending;
use jailrun::sim::{Faults, Sim, Start, World};

const SCRIPT: &str = "program = \"/bin/sh\"\nuser = \"root\"\n[jail]\nallow = [\"suser\"]\n\
    [root]\nclosure = \"off\"\nro = [\"/bin\", \"/lib\"]\nroot_writes = true\nrw = [\"/var/db/own\"]\n\
    [capsicum]\nmode = \"off\"\n";
const TOOL: &str = "/var/db/own/tool";

#[test]
fn an_attest_that_is_killed_has_no_set_id_file_taken_that_was_there_before() {
    let mut world = World::freebsd();
    world
        .dir("/usr/local/etc/jailrun/profiles", 0o755, 0, 0)
        .dir("/var/db/own", 0o755, 0, 0)
        .file(TOOL, 0o4555, 0, 0, b"x");
    let path = "/usr/local/etc/jailrun/profiles/www.toml";
    world.file(path, 0o644, 0, 0, SCRIPT.as_bytes());
    let (mut calm, said) = attested(&world, Faults::none());
    assert!(said.contains(" attested: score "), "{said}");
    assert_eq!(calm.world.at(TOOL).unwrap().mode, 0o4555);
    let calls = calm.calls.len() as u64;
    let mut left_behind = 0;
    for call in (1..=calls).step_by(17) {
        let (report, _) = attested(&world, Faults::none().kill(call));
        let journals = report.world.differences(&calm.world).len();
        left_behind += usize::from(journals > 0);
        let mut cleaned = Sim::run(report.world, &Start::root(), Faults::none(), |kernel| {
            i32::from(!jailrun::launch::cleanup::sweep(kernel, "").is_empty())
        });
        assert_eq!(cleaned.ending, Ending::Exited(0), "call {call}");
        assert_eq!(cleaned.world.at(TOOL).unwrap().mode, 0o4555, "call {call}");
    }
    assert!(left_behind > 20, "{left_behind} of {calls}");
}
