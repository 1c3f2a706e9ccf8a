#include "soc/decision.h"

#include <errno.h>
#include <stdio.h>

#include "soc/audit.h"
#include "soc/json.h"

int alert_decide(struct store *s, const char *id, const struct alert_decision *c)
{
    char action[80], key[160];
    snprintf(action, sizeof(action), "%s%s%s", c->state ? c->state : "note", c->verdict ? ": " : "",
             c->verdict ? c->verdict : "");
    snprintf(key, sizeof(key), DECISION_VERDICT "%s", id);
    CLEANUP(json_decrefp)
    json_t *body = json_pack("{s:[{s:f, s:o, s:s, s:o}]}", "history", "time", c->now, "who",
                             json_text(c->who), "action", action, "note", json_text(c->note));
    CLEANUP(json_decrefp) json_t *word = NULL;
    if (c->state) {
        word = json_pack("{s:s, s:s, s:s?, s:o, s:f}", "alert", id, "state", c->state, "verdict",
                         c->verdict, "who", json_text(c->who), "time", c->now);
        json_object_set(body, "state", json_object_get(word, "state"));
        json_object_set(body, "verdict", json_object_get(word, "verdict"));
    }
    if (!body || (c->state && !word))
        return -ENOMEM;
    struct store_document documents[] = {
        {.kind = STORE_ALERT,
         .key = id,
         .time = c->now,
         .body = body,
         .merge = true,
         .append = "history"},
        {.kind = STORE_STATE, .key = key, .time = c->now, .body = word},
    };
    return audit_commit(s, documents, word ? 2 : 1,
                        audit_entry(c->now, c->who, c->address, "alert changed", id, action));
}
