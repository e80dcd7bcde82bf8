//! The root as people and programs read it.

use super::*;
use jailrun::plan::listing::{dot, entries, text};

const LINES: &str = "program = \"/usr/local/sbin/nginx\"\nuser = \"www\"\n[root]\nro = [\"/etc/ssl\"]\nmask = [\"/etc/ssl/cert.pem\"]\n\
    tmpfs = [{ path = \"/tmp\", size = \"1m\", mode = \"1777\", noexec = true }]\nfiles = { \"/etc/motd\" = \"x\\n\" }";

fn host() -> (Host, Tree) {
    let mut world = World::freebsd();
    world.symlink("/usr/lib/libssl.so.35", "../../lib/libssl.so.35");
    let library = jailrun::sim::image::Elf::library("libssl.so.35", &["libc.so.7"]).bytes();
    world.file("/lib/libssl.so.35", 0o444, 0, 0, &library);
    world
        .remove("/lib/libssl.so.35")
        .file("/usr/lib/real", 0o444, 0, 0, &library);
    world.symlink("/usr/lib/libssl.so.35", "real");
    let (host, _) = look(&world, LINES, 0, None).unwrap();
    let tree = tree(&host, LINES);
    (host, tree)
}

#[test]
fn every_path_has_its_reason_down_to_the_profile() {
    let (host, tree) = host();
    assert_eq!(
        text(&entries(&tree, &host)),
        "\
/etc                   directory (made, mode 0755, root's): what is below
/etc/motd              made (2 bytes, mode 0444, 0:0): files
/etc/ssl               directory (read-only): ro
/etc/ssl/cert.pem      masked (an empty file that nobody may read): mask
/lib                   directory (made, mode 0755, root's): what is below
/lib/libc.so.7         file (read-only): needed by nginx, a program
/lib/libsys.so.7       file (read-only): needed by nginx, a program
/lib/libthr.so.3       file (read-only): needed by nginx, a program
/libexec               directory (made, mode 0755, root's): what is below
/libexec/ld-elf.so.1   file (read-only): run-time linker of nginx, a program
/tmp                   tmpfs (1048576 bytes, mode 1777, noexec): tmpfs
/usr                   directory (made, mode 0755, root's): what is below
/usr/lib               directory (made, mode 0755, root's): what is below
/usr/lib/libssl.so.35  link (real): leads to real
/usr/lib/real          file (read-only): needed by nginx, a program
/usr/local             directory (made, mode 0755, root's): what is below
/usr/local/sbin        directory (made, mode 0755, root's): what is below
/usr/local/sbin/nginx  file (read-only): a program
"
    );
}

#[test]
fn who_needs_whom_is_a_graph_for_dot() {
    let (host, _) = host();
    let dot = dot(&host);
    assert!(dot.starts_with("digraph root {\n  \"/usr/local/sbin/nginx\" [shape=box];\n"));
    assert!(dot.contains("  \"/usr/local/sbin/nginx\" -> \"/lib/libthr.so.3\" [style=solid];\n"));
    assert!(dot.contains("  \"/lib/libc.so.7\" -> \"/lib/libsys.so.7\" [style=dashed];\n"));
}
