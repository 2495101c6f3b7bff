//! The small parsers of lines: times, trace contexts, ids, cursors.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    if let Ok(at) = model::parse_rfc3339(input) {
        assert_eq!(model::parse_rfc3339(&model::format_rfc3339(at)), Ok(at));
    }
    if let Ok(at) = model::parse_rfc3339_nanos(input) {
        assert_eq!(model::parse_rfc3339_nanos(&model::format_rfc3339_nanos(at)), Ok(at));
    }
    if let Some(context) = runtime::trace::TraceContext::parse(input) {
        let written = context.to_traceparent();
        let again = runtime::trace::TraceContext::parse(&written).expect("what was written can be read");
        assert_eq!(again.trace_id(), context.trace_id());
    }
    if let Ok(tenant) = input.parse::<model::TenantId>() {
        assert!(!tenant.as_str().contains(['.', ' ', '*', '>']), "it may stand in a subject");
        let _ = model::partition_of(&tenant, input, 7);
    }
    let token = model::type_token(input);
    assert!(!token.contains([' ', '*', '>', '\n']) && !token.contains(".."), "{token:?} is no subject");
    let _ = input.parse::<store::Cursor>();
    let _ = input.parse::<model::Durability>();
});
