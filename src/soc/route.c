#include <stdio.h>
#include <string.h>

#include "soc/server.h"

/* Every route there is. docs/openapi.json says the same; tests/e2e/test_api.py holds one against
 * the other. */
const struct route route_table[] = {
#define V1 "/api/v1"
    {"POST", V1 "/login", ALLOW_ANYONE, api_login, NULL, login_body},
    {"POST", V1 "/logout", ALLOW_SELF, api_logout, NULL, NULL},
    {"GET", V1 "/session", ALLOW_SELF, api_session, NULL, NULL},
    {"POST", V1 "/password", ALLOW_SELF, api_password, NULL, password_body},
    {"GET", V1 "/overview", ALLOW_VIEWER, api_overview, NULL, NULL},
    {"GET", V1 "/alerts", ALLOW_VIEWER, api_alerts, alerts_query, NULL},
    {"GET", V1 "/alerts/{id}", ALLOW_VIEWER, api_alert, NULL, NULL},
    {"POST", V1 "/alerts/{id}", ALLOW_ANALYST, api_alert_change, NULL, alert_body},
    {"GET", V1 "/suppressions", ALLOW_VIEWER, api_suppressions, NULL, NULL},
    {"POST", V1 "/suppressions", ALLOW_ANALYST, api_suppression_add, NULL, suppression_body},
    {"DELETE", V1 "/suppressions/{id}", ALLOW_ANALYST, api_suppression_remove, NULL, NULL},
    {"GET", V1 "/workloads", ALLOW_VIEWER, api_workloads, NULL, NULL},
    {"GET", V1 "/workload", ALLOW_VIEWER, api_workload, workload_query, NULL},
    {"GET", V1 "/workload/series", ALLOW_VIEWER, api_workload_series, series_query, NULL},
    {"GET", V1 "/containers", ALLOW_VIEWER, api_containers, containers_query, NULL},
    {"GET", V1 "/container", ALLOW_VIEWER, api_container, container_query, NULL},
    {"GET", V1 "/coverage", ALLOW_VIEWER, api_coverage, NULL, NULL},
    {"GET", V1 "/ledger", ALLOW_VIEWER, api_ledger, NULL, NULL},
    {"GET", V1 "/audit", ALLOW_ANALYST, api_audit, audit_query, NULL},
    {"POST", V1 "/sinks/test", ALLOW_ADMIN, api_sinks_test, NULL, NULL},
    {"GET", V1 "/openapi.json", ALLOW_ANYONE, api_openapi, NULL, NULL},
    {"GET", "/metrics", ALLOW_ANYONE, api_metrics, NULL, NULL},
    {"GET", "/healthz", ALLOW_ANYONE, api_healthz, NULL, NULL},
    {"GET", "", ALLOW_ANYONE, api_page, NULL, NULL},
    {0},
};

_Static_assert(sizeof(route_table) / sizeof(route_table[0]) <= ROUTES_MAX, "raise ROUTES_MAX");

/* Does the path fit the pattern? */
static bool match(const char *pattern, const char *path, char *ret_id, size_t id_size)
{
    const char *brace = strstr(pattern, "{id}");
    if (!brace)
        return strcmp(pattern, path) == 0;
    size_t before = (size_t)(brace - pattern), size;
    if (strncmp(pattern, path, before) != 0)
        return false;
    size = strlen(path + before);
    if (!size || size >= id_size || memchr(path + before, '/', size))
        return false;
    memcpy(ret_id, path + before, size + 1);
    return true;
}

const struct route *route_find(const char *method, const char *path, char *ret_id, size_t id_size,
                               char ret_allow[static ALLOW_SIZE])
{
    size_t used = 0;
    ret_allow[0] = '\0';
    if (strcmp(method, "HEAD") == 0)
        method = "GET";
    for (const struct route *r = route_table; r->method; r++) {
        if (!r->path[0]) {
            /* All that is not the API belongs to the page. */
            if (used || strncmp(path, "/api/", 5) == 0)
                return NULL;
        } else if (!match(r->path, path, ret_id, id_size)) {
            continue;
        }
        if (strcmp(r->method, method) == 0) {
            ret_allow[0] = '\0';
            return r;
        }
        used += (size_t)snprintf(ret_allow + used, ALLOW_SIZE - used, "%s%s", used ? ", " : "",
                                 strcmp(r->method, "GET") == 0 ? "GET, HEAD" : r->method);
    }
    return NULL;
}
