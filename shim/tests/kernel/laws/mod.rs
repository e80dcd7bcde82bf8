//! Laws that calls at random found broken once, each by itself: the same program in a world that is new
//! (see `world`) gives the same with the library and without, and gives what the law says.

mod children;
mod descriptors;
mod files;
mod names;
mod pairs;
mod refusals;
mod sleeping;
mod sockets;
mod stacks;

use super::launcher::{Launch, Mode};
use super::subject::errno;
use super::world::{USER, World};
use super::{alone, first_difference, library};
use std::ffi::{CString, c_int};

/// A law is the name of its test, and what SUBJECT says. Then who does it, what it does, and lines that it
/// has to give: without them two programs that do nothing would be the same.
macro_rules! laws {
    ($(fn $law:ident() by $who:ident: $act:path => $lines:expr;)+) => {
        $(
            #[test]
            fn $law() {
                holds(stringify!($law), $who, &$lines);
            }
        )+

        /// The subject's side. False: there is no such law.
        pub fn act(law: &str) -> bool {
            match law {
                $(stringify!($law) => $act(),)+
                "access_control_lists" => names::access_control_lists(),
                _ => return false,
            }
            true
        }
    };
}

laws! {
    fn a_name_that_is_to_stay_beneath_is_not_led_out() by superuser: descriptors::beneath => [
        "openat fd in: 0",
        "openat fd ../../t1/victim: error 93",
        "openat fd abs: error 93",
        "openat cwd up/victim: error 93",
        "faccessat cwd /g1/t0/d/inner: error 93",
        "unlinkat ../../t1/victim: error 93",
        "linkat up/victim: error 93",
        "victim: 0",
    ];
    fn a_descriptor_that_is_said_to_stay_beneath_does() by superuser: descriptors::marked => [
        "openat inner: 0",
        "openat ../../t1/victim: error 93",
        "openat abs: error 93",
        "fchdir: error 93",
        "a copy: error 93",
    ];
    fn what_is_refused_beneath_says_why() by superuser: descriptors::refused_beneath => [
        "fchmodat deep: error 30",
        "fchownat deep: 0, errno 7777",
        "fchmodat: error 30",
        "fchownat: 0, errno 7777",
    ];
    fn a_copy_of_a_descriptor_is_of_the_same_directory() by superuser: descriptors::copies => [
        "dup: 0 /g1/t0/a, ../b/file 0",
        "dup2: 0 /g1/t0/a, ../b/file 0",
        "fcntl 0: 0 /g1/t0/a, ../b/file 0",
        "fcntl 17: 0 /g1/t0/a, ../b/file 0",
        "fcntl 10: 0 /g1/t0/a, ../b/file 0",
        "fcntl 18: 0 /g1/t0/a, ../b/file 0",
        "fcntl 24: 0 /g1/t0/a, ../b/file 0",
    ];
    fn a_path_that_is_too_long_to_be_kept_forgets_no_other() by superuser: descriptors::too_long_to_keep => [
        "fchdir: 0",
        "getcwd: /g1/t0/a",
    ];
    fn a_descriptor_of_no_directory_is_no_place() by superuser: descriptors::no_places => [
        "fchdir a file: error 20",
        "fchdir a pipe: error 22",
        "fchdir none: error 9",
    ];
    fn what_works_leaves_errno_alone() by killing: names::errno_is_kept => [
        "open what is there: 0, errno 7777",
        "chdir: 0, errno 7777",
        "realpath: 0, errno 7777",
        "rename: 0, errno 7777",
        "truncate a fifo: 0, errno 7777",
        "waitpid: 0, errno 7777",
    ];
    fn a_trees_own_directory_is_itself_unless_its_name_is_meant() by superuser: names::own_directory => [
        "lstat /g1: 0",
        "open /g1 without links: 0",
        "lchmod /g1/nest: 0",
        "rename /g1/nest: error 45",
        "mkdir /g1: error 17",
        "creating /dev: error 21",
    ];
    fn the_root_is_a_name_in_no_directory() by superuser: names::root => [
        "mkdir /: error 21",
        "rename / /g1/t0/x: error 21",
        "rename /g1/t0/d /: error 22",
        "open / 200: error 21",
    ];
    fn a_name_is_as_long_as_the_kernel_takes_it() by superuser: names::long => [
        "stat 1023: 0",
        "stat 1024: error 63",
        "chdir 1024: error 63",
        "realpath 1024: error 63",
        "link, 1023 in all: 0",
        "link, 1024 in all: error 63",
        "deep, 800 more: 0",
    ];
    fn a_dot_is_looked_up_in_what_may_be_searched() by user: names::dots => [
        "stat /ro/abs/../file/.: error 20",
        "stat /ro/abs/../closed/.: error 13",
        "stat /ro/abs/.: 0",
    ];
    fn no_name_at_all_is_meant_only_where_that_is_said() by superuser: names::empty => [
        "fstatat cwd: error 2",
        "fstatat cwd, meant: 0",
        "fchmodat ro, meant: error 30",
        "linkat cwd, meant, /ro/made: error 1",
        "linkat file, meant, /g1/t0/made: 0",
        "linkat file, meant, /ro/made: error 30",
        "linkat ro file, meant, /g1/t0/made: error 18",
        "openat fd, meant: 0",
    ];
    fn no_change_is_allowed_where_nothing_may_be_changed() by user: names::no_change => [
        "chown: 0",
        "chown to oneself: error 30",
        "utimensat: 0",
        "utimensat, one: error 30",
        "chown none: error 2",
    ];
    fn to_make_what_is_there_is_to_open_it() by superuser: names::creating => [
        "open /ro/file 200: 0",
        "open /ro/file a00: error 17",
        "open /ro/none 200: error 30",
        "open /ro/dir 20200: 0",
        "open /dev 203: error 22",
    ];
    fn the_first_of_two_names_is_judged_before_the_second() by superuser: pairs::judged => [
        "link /g1/t0/f /g1/t0/new: 0",
        "link /g1/t0/d /g1/t0/none/new: error 1",
        "link /g1/t0/f /g1/t0/none/new: error 2",
        "link /ro/file /g1/t0/new: error 18",
        "link /ro/file to nothing: error 14",
        "rename /g1/t0/f /g1/t0/abs/new: error 18",
        "rename /g1/t0/f/x /g1/t0/f/new: error 20",
    ];
    fn what_is_not_read_or_written_needs_no_right_to_that() by user: files::asked => [
        "statfs /ro/secret: 0",
        "a path /ro/secret 0: 0",
        "a path /ro/file 1: 0",
        "statfs /g1/t0/fifo: 0",
        "truncate /g1/t0/fifo 0: 0",
        "truncate /ro/file -1: error 22",
        "lutimes /ro/file 1000000: error 22",
        "bind : error 22",
        "execve: error 9",
    ];
    fn a_directory_is_known_by_whatever_name_it_was_opened() by superuser: files::known => [
        "/g1/t0/x.d/sub: 0 /g1/t0/x.d/sub",
        "/g1/t0/x.d/..: 0 /g1/t0",
        "/ro/dir: 0 /ro/dir",
        "x.d/sub: 0 /g1/t0/x.d/sub",
    ];
    fn a_program_that_may_not_be_executed_is_not_by_descriptor_either() by user: refusals::programs_by_descriptor => [
        "fexecve /ro/dir: 13",
        "fexecve /ro/file: 13",
        "fexecve /g1/t0/empty: 8",
        "fexecve /bin/echo: 0",
    ];
    fn a_program_that_can_not_be_executed_by_its_descriptor_leaves_that_as_it_was() by user: refusals::kept => [
        "fexecve: error 7",
        "flags: 1",
    ];
    fn what_is_no_program_is_not_opened_as_one() by user: refusals::no_programs => [
        "truncate: error 13",
        "execve /g1/t0/empty: error 8",
        "execve /g1/t0/socket: error 13",
        "execve /g1/t0/link: error 13",
        "execve /g1/t0/fifo: error 13",
        "execve /ro/none: error 2",
    ];
    fn a_local_sockets_name_is_as_short_as_the_program_gives_it() by superuser: sockets::deep => [
        "bind b: 0",
        "bind none/again: error 22",
        "bind ../beside: 0",
        "connect new long: error 2",
        "connect renamed long: 0",
        "connect new b: 0",
        "connect again none/b: error 56",
        "connect new absolute: 0",
        "connect new none/b: error 2",
    ];
    fn an_address_that_is_longer_than_any_name_is_refused() by superuser: sockets::longer => [
        "bind 106: 0",
        "connect 106: error 61",
        "bind 107: error 22",
    ];
    fn what_is_no_socket_is_that_before_all_else() by superuser: refusals::no_sockets => [
        "connect a socket 2: error 22",
        "connect a socket 3: error 2",
        "connect a directory 3: error 38",
        "bind a directory: error 38",
        "bind none: error 9",
        "connect a directory, by a name: error 38",
        "bind a directory, by a name: error 38",
    ];
    fn a_child_of_posix_spawn_forgets_no_directory_of_its_parents() by superuser: refusals::spawned => [
        "posix_spawn: 0 true",
        "fchdir: 0",
        "getcwd: /g1/t0/a",
    ];
    fn a_name_that_may_not_be_taken_away_is_refused_for_that() by user: refusals::first_names => [
        "rename /ro/../g1/t0/shut/x /: error 13",
        "rename /ro/../g1/t0/shut/x /g1/t0/f/y: error 13",
        "exchange /ro/../g1/t0/shut/none /g1/t0/f: error 13",
        "renameat none: error 9",
        "renameat a pipe: error 20",
    ];
    fn a_file_that_may_only_be_read_is_linked_nowhere() by user: refusals::second_names => [
        "linkat a pipe false: error 20",
        "linkat x true: error 9",
        "linkat /g1/t0/new false: error 18",
        "linkat /g1/t0/new/ false: error 2",
        "linkat /g1/t0/f/ false: error 20",
        "linkat /g1/t0/shut/new false: error 13",
        "linkat /dev/new false: error 18",
    ];
    fn a_link_to_the_root_is_a_name_in_no_directory_behind_a_slash() by superuser: refusals::ends => [
        "rename /ro/../g1/t0/root/ /g1/t0/new: error 21",
        "mkdir again/: error 21",
        "open /: 0",
    ];
    fn a_buffer_that_is_too_small_is_filled_from_the_end() by user: refusals::small_buffers => [
        "getcwd 3: error 13",
        "getcwd 3, readable: error 34",
        "getcwd 11: 0",
    ];
    fn what_a_link_says_is_judged_before_where_it_is_made() by superuser: refusals::texts => [
        "symlink, too long, /ro/loop/x: error 63",
        "symlink, none, /ro/loop/x: error 14",
    ];
    fn what_may_be_written_to_may_be_by_whatever_way_it_was_opened() by superuser: refusals::regained => [
        "openat beneath: 0",
        "fchmodat beneath: 0, errno 7777",
        "fchmodat itself: 0, errno 7777",
        "linkat: error 1",
        "realpath 1024: true",
        "rename, long: 0",
    ];
    fn no_name_is_refused_whatever_the_descriptor_is_of() by user: refusals::nameless => [
        "openat none: error 2",
        "openat a pipe: error 2",
        "openat a file: error 20",
        "openat a directory: error 2",
        "realpath: true",
    ];
    fn a_program_sleeps_by_any_clock_that_counts() by superuser: sleeping::by_clocks => [
        "clock 0: 0, long enough",
        "clock 4: 0, long enough",
        "clock 4, until then: 0, long enough",
        "clock 4, until long ago: 0",
        "clock 14: 22",
        "clock 15: 45",
        "flags: 22",
        "no time: 22",
        "interrupted: 4, some left",
        "interrupted, until then: 4, none left",
    ];
    fn a_thread_with_a_small_stack_may_call() by superuser: stacks::used => ["enough: true"];
    fn a_child_that_is_only_looked_at_is_still_there() by superuser: children::looked_at => [
        "looked at again: 7 true",
        "waited for: 7 true",
        "gone: error 10",
    ];
    fn a_child_that_may_be_killed_is_still_there_too() by killing: children::looked_at => [
        "looked at again: 7 true",
        "waited for: 7 true",
        "gone: error 10",
    ];
    fn a_wait_is_restarted_as_the_handlers_want_it() by killing: children::restarting => [
        "SA_RESTART: the child's",
        "none: error 4",
        "none, real-time: error 4",
        "none, waitid: error 4",
    ];
}

/// On what has such lists the program without the library is told so: the law is of the one with it.
#[test]
fn no_access_control_list_is_promised_where_none_can_be_read() {
    let Some(library) = library() else { return };
    let _alone = alone();
    let said = |mode| {
        let launch = Launch::new(mode, &library).set("SUBJECT", "access_control_lists");
        let program = std::env::current_exe().unwrap();
        launch.run(&[program.to_str().unwrap()]).output
    };
    let bare = said(Mode::Bare);
    if !bare.contains(": 1") {
        println!(
            "SKIP no_access_control_list_is_promised: needs a root with them (mount -u -o acls /)"
        );
        return;
    }
    assert_eq!(bare.lines().count(), 4, "{bare}");
    assert_eq!(said(Mode::Confined), bare.replace(": 1", ": 0"));
}

fn superuser(launch: Launch) -> Launch {
    launch
}

fn user(launch: Launch) -> Launch {
    launch.user(Some(USER))
}

fn killing(launch: Launch) -> Launch {
    launch.set("JAILRUN_KILL_CHILDREN", "1")
}

fn holds(law: &str, who: fn(Launch) -> Launch, lines: &[&str]) {
    let Some(library) = library() else { return };
    let _alone = alone();
    let world = World::new("law", &library);
    let run = |mode| {
        let (ended, left) = world.run(mode, |launch| who(launch.set("SUBJECT", law)));
        assert_eq!(
            (ended.status, ended.errors.as_str()),
            (0, ""),
            "{mode:?} {}",
            ended.output
        );
        format!("{}left:\n{left}", ended.output)
    };
    let (bare, confined) = (run(Mode::Bare), run(Mode::Confined));
    if let Some(difference) = first_difference(&bare, &confined) {
        panic!("{difference}");
    }
    for line in lines {
        assert!(bare.lines().any(|said| said == *line), "{line}\n{bare}");
    }
}

fn c(text: &str) -> CString {
    CString::new(text).unwrap()
}

/// One line of a call whose descriptor, if it gives one, is closed: its number is no part of a law.
fn opened(call: &str, fd: c_int) {
    let errno = errno();
    if fd < 0 {
        println!("{call}: error {errno}");
    } else {
        println!("{call}: 0");
        unsafe { libc::close(fd) };
    }
}

/// No call sets it.
const UNTOUCHED: c_int = 7777;

/// One line that shows errno, which what works leaves as it was.
fn quietly(call: &str, act: impl FnOnce() -> bool) {
    super::fuzz::set_errno(UNTOUCHED);
    let worked = act();
    let after = errno();
    if worked {
        println!("{call}: 0, errno {after}");
    } else {
        println!("{call}: error {after}");
    }
}

fn make_file(path: &str) {
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_CLOEXEC;
    let fd = unsafe { libc::open(c(path).as_ptr(), flags, 0o644) };
    assert!(fd >= 0, "{path}: {}", errno());
    unsafe { libc::close(fd) };
}

fn make_directory(path: &str) {
    let made = unsafe { libc::mkdir(c(path).as_ptr(), 0o755) };
    assert_eq!(made, 0, "{path}: {}", errno());
}

fn make_link(target: &str, path: &str) {
    let made = unsafe { libc::symlink(c(target).as_ptr(), c(path).as_ptr()) };
    assert_eq!(made, 0, "{path}: {}", errno());
}

fn directory(path: &str) -> c_int {
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
    let fd = unsafe { libc::open(c(path).as_ptr(), flags) };
    assert!(fd >= 0, "{path}: {}", errno());
    fd
}

fn working_directory() -> String {
    let mut place = [0_u8; 1024];
    let found = unsafe { libc::getcwd(place.as_mut_ptr().cast(), place.len()) };
    if found.is_null() {
        return format!("error {}", errno());
    }
    let end = place.iter().position(|byte| *byte == 0).unwrap();
    String::from_utf8_lossy(&place[..end]).into_owned()
}

fn go(path: &str) {
    let gone = unsafe { libc::chdir(c(path).as_ptr()) };
    assert_eq!(gone, 0, "{path}: {}", errno());
}
