#include <errno.h>
#include <string.h>

#include "soc/assets.h"
#include "soc/server.h"

static const char not_built[] =
    "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Vigia</title>"
    "<h1>Vigia runs, but its page was not built</h1>"
    "<p>Run <code>scripts/build</code>, which builds <code>ui/</code> with npm, and start Vigia "
    "again. The interface is there meanwhile: <a href=\"/api/v1/openapi.json\">openapi.json</a>, "
    "<a href=\"/metrics\">metrics</a>.</p></html>\n";

static int reply_asset(struct request *q, const struct asset *a)
{
    q->reply.status = 200;
    q->reply.bytes = a->data;
    q->reply.size = a->size;
    q->reply.type = a->type;
    q->reply.etag = a->etag;
    return 0;
}

int api_openapi(struct request *q)
{
    struct asset a;
    return asset_find("/api/v1/openapi.json", &a) ? reply_asset(q, &a) : -ENOENT;
}

/* Files by name; every path without a dot is a place inside the page. */
int api_page(struct request *q)
{
    struct asset a;
    if (asset_find(q->path, &a))
        return reply_asset(q, &a);
    if (strchr(q->path, '.'))
        return reply_error(q, 404, "not_found", "there is no such file");
    if (asset_find("/index.html", &a))
        return reply_asset(q, &a);
    q->reply.status = 200;
    q->reply.bytes = not_built;
    q->reply.size = sizeof(not_built) - 1;
    q->reply.type = "text/html; charset=utf-8";
    return 0;
}
