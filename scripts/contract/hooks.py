"""What the document cannot say, for schemathesis."""

import os
import re

import schemathesis

# Given by an answer, or naming somebody: what is made up is refused, and rightly.
GIVEN = ("cursor", "actor", "permission")

# What concerns the whole fleet is asked for by its superuser; but for what would end the session that asks.
OF_THE_FLEET = re.compile(r"/api/v1/(audit|me|roles|tenants|users)\b(?!/\{tenant\}/)")
ENDS_THE_SESSION = ("/api/v1/me/password", "/api/v1/users/{id}")


@schemathesis.hook
def map_query(context, query):
    return {name: value for name, value in query.items() if name not in GIVEN} if query else query


@schemathesis.hook
def before_call(context, case, kwargs):
    """What is well-formed asks for the tenant that is there, which is not deleted meanwhile."""
    positive = case.meta is not None and case.meta.generation.mode.is_positive
    erases = case.method == "DELETE" and case.path.endswith("/{tenant}")
    if positive and not erases and "tenant" in (case.path_parameters or {}):
        case.path_parameters["tenant"] = "demo"
    if positive and OF_THE_FLEET.match(case.path) and case.path not in ENDS_THE_SESSION and "CONTRACT_SUPERUSER" in os.environ:
        kwargs["headers"]["Authorization"] = f"Bearer {os.environ['CONTRACT_SUPERUSER']}"
