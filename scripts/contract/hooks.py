"""What the document cannot say, for schemathesis."""

import schemathesis

# Given by an answer, or naming somebody: what is made up is refused, and rightly.
GIVEN = ("cursor", "actor", "permission")


@schemathesis.hook
def map_query(context, query):
    return {name: value for name, value in query.items() if name not in GIVEN} if query else query


@schemathesis.hook
def before_call(context, case, kwargs):
    """What is well-formed asks for the tenant that is there, which is not deleted meanwhile, and says once who asks: of a made-up key
    or cookie beside the real one, the made-up one may count."""
    positive = case.meta is not None and case.meta.generation.mode.is_positive
    if positive:
        (case.headers or {}).pop("X-API-Key", None)
        (case.cookies or {}).clear()
    erases = case.method == "DELETE" and case.path.endswith("/{tenant}")
    if positive and not erases and "tenant" in (case.path_parameters or {}):
        case.path_parameters["tenant"] = "demo"
