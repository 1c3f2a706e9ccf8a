#include "soc/audit.h"

#include <errno.h>

#include "soc/json.h"

#define DOCUMENTS_MAX 4

json_t *audit_entry(double time, const char *who, const char *address, const char *action,
                    const char *target, const char *detail)
{
    return json_pack("{s:f, s:o, s:o, s:o, s:o, s:o}", "time", time, "who", json_text(who),
                     "address", json_text(address), "action", json_text(action), "target",
                     json_text(target), "detail", json_text(detail));
}

int audit_commit(struct store *s, const struct store_document *documents, uint32_t n, json_t *entry)
{
    CLEANUP(json_decrefp) json_t *body = entry;
    struct store_document all[DOCUMENTS_MAX + 1];
    if (!body)
        return -ENOMEM;
    if (n > DOCUMENTS_MAX)
        return -EINVAL;
    for (uint32_t i = 0; i < n; i++)
        all[i] = documents[i];
    all[n] = (struct store_document){
        .kind = STORE_AUDIT,
        .time = json_get_number(body, "time", 0),
        .body = body,
    };
    return store_commit(s, &(struct store_batch){.documents = all, .n_documents = n + 1});
}
