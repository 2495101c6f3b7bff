// Posts each payload of the package @octokit/webhooks-examples as GitHub does: its headers, its signature.
//
//     node github.mjs DOOR
//
// DOOR is the address of a GitHub source; its secret is in EVENTRUNNER_SECRET, and EVENTRUNNER_NODE is the
// folder the package is installed in. Each payload is first posted with one byte changed after signing, which
// must be refused with 401. Writes a line of JSON for each payload: {delivery, type, subject, source, bytes,
// sha256}, as the event must be.

import { createHash, createHmac, randomBytes, randomUUID } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";

const [, , door] = process.argv;
const { EVENTRUNNER_NODE: node, EVENTRUNNER_SECRET: secret } = process.env;
const parallel = 16;

// What an event of GitHub's is about: where in the payload the CloudEvent's subject stands.
const subjects = {
    branch_protection_rule: "rule.id",
    cache_sync: null,
    check_run: "check_run.id",
    check_suite: "check_suite.id",
    code_scanning_alert: "alert.number",
    commit_comment: "comment.id",
    content_reference: "content_reference.id",
    create: "ref",
    delete: "ref",
    dependabot_alert: "alert.number",
    deploy_key: "key.id",
    deployment: "deployment.id",
    deployment_review: "workflow_run.id",
    deployment_status: "deployment_status.id",
    discussion: "discussion.number",
    discussion_comment: "comment.id",
    enterprise: "enterprise.slug",
    fork: "forkee.full_name",
    github_app_authorization: null,
    gollum: null,
    installation: "installation.id",
    installation_repositories: "installation.id",
    issue_comment: "comment.id",
    issues: "issue.number",
    label: "label.name",
    marketplace_purchase: "marketplace_purchase.account.login",
    member: "member.login",
    membership: "member.login",
    merge_group: "merge_group.head_ref",
    meta: "hook_id",
    milestone: "milestone.number",
    org_block: "blocked_user.login",
    organization: "membership.user.login or organization.login",
    package: "package.name",
    page_build: "build.url",
    ping: "hook_id",
    project: "project.id",
    project_card: "project_card.id",
    project_column: "project_column.id",
    projects_v2_item: "projects_v2_item.id",
    public: "repository.name",
    pull_request: "number",
    pull_request_review: "review.id",
    pull_request_review_comment: "comment.id",
    pull_request_review_thread: "pull_request.number",
    push: "ref",
    release: "release.tag_name",
    repository: "repository.name",
    repository_dispatch: "branch",
    repository_import: "repository.name",
    repository_vulnerability_alert: "alert.id",
    secret_scanning_alert: "alert.number",
    secret_scanning_alert_location: "alert.number",
    security_advisory: "security_advisory.ghsa_id",
    sponsorship: "sponsorship.sponsorable.login",
    star: null,
    status: "sha",
    team: "team.id",
    team_add: "team.id",
    user: "user.login",
    watch: null,
    workflow_dispatch: "ref",
    workflow_job: "workflow_job.id",
    workflow_run: "workflow_run.id",
};

const at = (payload, path) => path.split(".").reduce((value, name) => value?.[name], payload);

function subject(event, payload) {
    if (!(event in subjects)) throw new Error(`the table of subjects lacks ${event}`);
    const values = (subjects[event]?.split(" or ") ?? []).map((path) => at(payload, path));
    const found = values.find((value) => value !== undefined && value !== null);
    return found === undefined ? null : String(found);
}

// The kind is in the header; what happened is the payload's action, or what sort of ref came or went.
function type(event, payload) {
    const what = ["create", "delete"].includes(event) ? payload.ref_type : payload.action;
    return ["com.github", event, ...(what ? [what] : [])].join(".");
}

const sign = (body) => `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`;

async function post({ event, payload, version }) {
    const body = Buffer.from(JSON.stringify(payload));
    const headers = {
        accept: "*/*",
        "content-type": "application/json",
        "user-agent": `GitHub-Hookshot/${randomBytes(4).toString("hex").slice(0, 7)}`,
        "x-github-delivery": randomUUID(),
        "x-github-event": event,
        "x-github-hook-id": "292430182",
        "x-github-hook-installation-target-id": "79929171",
        "x-github-hook-installation-target-type": "repository",
        "x-hub-signature": `sha1=${createHmac("sha1", secret).update(body).digest("hex")}`,
        "x-hub-signature-256": sign(body),
    };
    if (version) {
        headers["x-github-enterprise-host"] = "github.example.com";
        headers["x-github-enterprise-version"] = version;
    }
    const expect = async (status, body, changed = {}) => {
        const answer = await fetch(door, { method: "POST", headers: { ...headers, ...changed }, body });
        const text = await answer.text();
        if (answer.status !== status) throw new Error(`${event}: ${answer.status} instead of ${status}: ${text}`);
        return text;
    };
    const tampered = Buffer.from(body);
    tampered[tampered.length >> 1] ^= 1;
    await expect(401, tampered);
    const { events } = JSON.parse(await expect(202, body));
    if (events.length !== 1 || events[0].id !== headers["x-github-delivery"]) throw new Error(JSON.stringify(events));
    return {
        delivery: headers["x-github-delivery"],
        event,
        type: type(event, payload),
        subject: subject(event, payload),
        source: events[0].source,
        bytes: body.length,
        sha256: createHash("sha256").update(body).digest("hex"),
    };
}

const folder = `${node}/node_modules/@octokit/webhooks-examples`;
const deliveries = readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && entry.name !== "node_modules")
    .flatMap(({ name }) => {
        // The folders: github.com, and GitHub Enterprise Server 3.1 to 3.5.
        const version = name.startsWith("ghes-") ? [...name.slice(5)].join(".") : null;
        const events = JSON.parse(readFileSync(`${folder}/${name}/index.json`, "utf8"));
        return events.flatMap((event) => event.examples.map((payload) => ({ event: event.name, payload, version })));
    });
const next = deliveries.values();
const worker = async () => {
    for (const delivery of next) console.log(JSON.stringify(await post(delivery)));
};
await Promise.all(Array.from({ length: parallel }, worker));
