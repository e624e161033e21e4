//! Keeps foreign messages off standard error while the machine is asked for its GPUs.
//!
//! Mesa's Vulkan drivers come with a layer that asks a Wayland desktop which GPU it draws with. Without a desktop, as
//! on a server or over ssh, the Wayland library prints `error: XDG_RUNTIME_DIR is invalid` each time it is asked, which
//! looks like a fault of this program and is none. Where no desktop can be asked, the layer is told to stay out.

use std::ffi::OsString;

/// Where a desktop session has its socket.
const SESSION: &str = "XDG_RUNTIME_DIR";
/// What the layer reads before it does anything.
const LAYER_OFF: &str = "NODEVICE_SELECT";
/// With these a person tells the layer which GPU to put first, so it has to run.
const LAYER_WANTED: [&str; 2] = ["MESA_VK_DEVICE_SELECT", "DRI_PRIME"];

/// The environment variable to set before the process has threads, with its value, judged by the variables that `read`
/// finds; `None` where there is a desktop to ask, or where a person has decided already.
pub fn silencing(read: impl Fn(&str) -> Option<OsString>) -> Option<(&'static str, &'static str)> {
    let is_set = |name: &str| read(name).is_some_and(|value| !value.is_empty());
    // The Wayland library takes nothing but an absolute path.
    let desktop = read(SESSION).is_some_and(|folder| folder.as_encoded_bytes().first() == Some(&b'/'));
    let decided = is_set(LAYER_OFF) || LAYER_WANTED.into_iter().any(is_set);
    (!desktop && !decided).then_some((LAYER_OFF, "1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> bool {
        let read = |name: &str| variables.iter().find(|(one, _)| *one == name).map(|(_, value)| OsString::from(value));
        silencing(read).is_some()
    }

    #[test]
    fn the_layer_stays_out_only_where_no_desktop_is_and_nobody_asked_for_it() {
        assert_eq!(silencing(|_| None), Some(("NODEVICE_SELECT", "1")));
        assert!(with(&[("XDG_RUNTIME_DIR", "")]) && with(&[("XDG_RUNTIME_DIR", "relative")]));
        assert!(!with(&[("XDG_RUNTIME_DIR", "/run/user/1000")]), "a desktop may be asked");
        assert!(with(&[("DRI_PRIME", "")]));
        for variable in ["NODEVICE_SELECT", "MESA_VK_DEVICE_SELECT", "DRI_PRIME"] {
            assert!(!with(&[(variable, "1")]), "{variable} is a person's choice");
        }
    }
}
