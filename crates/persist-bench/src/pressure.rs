//! Whether the machine was busy with something else: Linux pressure figures.

/// The share of the last ten seconds in which some task waited for a CPU or for I/O, in percent; 0 where the system does
/// not say.
pub(crate) fn cpu() -> f64 {
    average("/proc/pressure/cpu")
}

fn average(path: &str) -> f64 {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let some = text.lines().find(|line| line.starts_with("some")).unwrap_or_default();
    let value = some.split_whitespace().find_map(|word| word.strip_prefix("avg10="));
    value.and_then(|value| value.parse().ok()).unwrap_or(0.0)
}
