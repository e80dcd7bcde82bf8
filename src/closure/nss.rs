//! nsswitch.conf(5): the modules that libc opens for it, by names that stand in no file's needs. Pure.

/// Sources that are in libc itself (lib/libc/net/nsdispatch.c, nss_load_module()).
const BUILT_IN: [&str; 6] = ["cache", "compat", "db", "dns", "files", "nis"];

/// The libraries of all other sources, each once.
pub fn modules(text: &str) -> Vec<String> {
    let mut modules: Vec<String> = Vec::new();
    for line in text.replace("\\\n", " ").lines() {
        let line = line.split('#').next().unwrap_or_default();
        let Some((_, sources)) = line.split_once(':') else {
            continue;
        };
        for word in without_criteria(sources).split_whitespace() {
            let is_name = word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            let module = format!("nss_{word}.so.1");
            if is_name && !BUILT_IN.contains(&word) && !modules.contains(&module) {
                modules.push(module);
            }
        }
    }
    modules
}

/// What is in brackets says what to do, not where to look.
fn without_criteria(sources: &str) -> String {
    let mut depth = 0u32;
    let outside = sources.chars().map(|c| match c {
        '[' => {
            depth += 1;
            ' '
        }
        ']' => {
            depth = depth.saturating_sub(1);
            ' '
        }
        c if depth == 0 => c,
        _ => ' ',
    });
    outside.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_that_are_not_libcs_own_are_modules() {
        for (text, names) in [
            ("passwd: compat\nhosts: files dns\n", &[][..]),
            (
                "passwd: files ldap # sss\ngroup: files ldap winbind",
                &["nss_ldap.so.1", "nss_winbind.so.1"],
            ),
            (
                "hosts: files [notfound=return] mdns \\\n dns",
                &["nss_mdns.so.1"],
            ),
            ("hosts files mdns\n# passwd: ldap", &[]),
            ("passwd: ../evil /x a/b", &[]),
        ] {
            assert_eq!(modules(text), names, "{text}");
        }
    }
}
