//! For every input.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn no_value_appears_in_an_error(
        index in 0..SETTINGS.len(),
        before in "\\PC{0,8}",
        after in "\\PC{0,8}",
        quote in prop::sample::select(vec!["", "'", "\"", "'''", "[", "{"]),
    ) {
        let key = SETTINGS[index].key;
        let value = format!("{before}hunter2{after}");
        let variable = (SETTINGS[index].variable().into(), value.clone().into());
        for preset in [Preset::Production, Preset::Sandbox] {
            let file = TempFile::new(format!("{key} = {quote}{value}{quote}"));
            let result = Config::load(Sources {
                preset,
                file: Some(file.0.clone()),
                environment: [variable.clone()].into(),
                flags: vec![flag(key, &value)],
            });
            if let Err(mistakes) = result {
                prop_assert!(!mistakes.to_string().contains("hunter2"), "{}", mistakes);
                let debug = format!("{mistakes:?}");
                prop_assert!(!debug.contains("hunter2"));
            }
        }
    }

    #[test]
    fn a_duration_reads_back_as_it_was_written(ms in 1_u64..3_600_000) {
        let duration = Duration::from_millis(ms);
        let text = humantime::format_duration(duration).to_string();
        let config = Config::load(flags([("graph.attempt_timeout", &text)])).unwrap().config;
        prop_assert_eq!(config.graph.attempt_timeout, duration);
    }
}
