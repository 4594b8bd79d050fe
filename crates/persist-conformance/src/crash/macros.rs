//! One line for a test binary.

/// Writes the crash tests of an engine into a module `$name`: the child's entry, the kill class, the power-cut class,
/// and the proof that the power-cut class notices when syncs are lost.
///
/// Either `crash_classes!(name, fixture)` with a [`Fixture`](crate::Fixture), or
/// `crash_classes!(name, driver, options)` with a [`Driver`](persist_api::Driver) and its
/// [`OpenOptions`](persist_api::OpenOptions). Parent and children evaluate the expressions anew.
#[macro_export]
macro_rules! crash_classes {
    ($name:ident, $fixture:expr) => {
        $crate::crash_classes! { @tests $name, act, {
            let fixture = $fixture;
            act(&$crate::crash::Subject::of(&fixture));
        } }
    };
    ($name:ident, $driver:expr, $options:expr) => {
        $crate::crash_classes! { @tests $name, act, {
            let driver = $driver;
            act(&$crate::crash::Subject { driver: &driver, options: $options });
        } }
    };
    (@tests $name:ident, $act:ident, $body:block) => {
        mod $name {
            #[allow(unused_imports, reason = "the expressions may not need them")]
            use super::*;

            fn with_subject($act: impl Fn(&$crate::crash::Subject<'_>)) {
                $body
            }

            fn reentry() -> $crate::crash::Reentry {
                $crate::crash::Reentry::test(concat!(module_path!(), "::crash_child"))
            }

            #[test]
            fn crash_child() {
                with_subject(|subject| $crate::crash::child_main_if_asked(subject));
            }

            #[test]
            fn kill() {
                with_subject(|subject| $crate::crash::assert_kill(subject, &reentry()));
            }

            #[test]
            fn power_cut() {
                with_subject(|subject| $crate::crash::assert_power_cut(subject, &reentry()));
            }

            #[test]
            fn power_cut_notices_lost_syncs() {
                with_subject(|subject| {
                    $crate::crash::assert_power_cut_notices_lost_syncs(subject, &reentry());
                });
            }
        }
    };
}
