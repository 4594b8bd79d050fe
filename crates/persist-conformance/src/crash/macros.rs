//! One line for a test binary.

/// Writes the crash tests of an engine into a module `$name`: the child's entry, the kill class, the power-cut class,
/// and the proof that the power-cut class notices when syncs are lost.
///
/// `$driver` and `$options` are expressions for a [`Driver`](persist_api::Driver) and its
/// [`OpenOptions`](persist_api::OpenOptions); parent and children evaluate them anew.
#[macro_export]
macro_rules! crash_classes {
    ($name:ident, $driver:expr, $options:expr) => {
        mod $name {
            #[allow(unused_imports, reason = "the expressions may not need them")]
            use super::*;

            fn reentry() -> $crate::crash::Reentry {
                $crate::crash::Reentry::test(concat!(module_path!(), "::crash_child"))
            }

            #[test]
            fn crash_child() {
                let driver = $driver;
                $crate::crash::child_main_if_asked(&$crate::crash::Subject {
                    driver: &driver,
                    options: $options,
                });
            }

            #[test]
            fn kill() {
                let driver = $driver;
                let subject = $crate::crash::Subject { driver: &driver, options: $options };
                $crate::crash::assert_kill(&subject, &reentry());
            }

            #[test]
            fn power_cut() {
                let driver = $driver;
                let subject = $crate::crash::Subject { driver: &driver, options: $options };
                $crate::crash::assert_power_cut(&subject, &reentry());
            }

            #[test]
            fn power_cut_notices_lost_syncs() {
                let driver = $driver;
                let subject = $crate::crash::Subject { driver: &driver, options: $options };
                $crate::crash::assert_power_cut_notices_lost_syncs(&subject, &reentry());
            }
        }
    };
}
