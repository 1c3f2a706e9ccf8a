/* JSON by POST (libcurl). Signed: X-Vigia-Signature is "sha256=" and, in hex, HMAC-SHA256 (RFC
 * 2104) with the secret over X-Vigia-Timestamp, a dot and the body. The receiver recomputes it,
 * refuses old timestamps, and deduplicates by X-Vigia-Delivery. */
#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "soc/json.h"
#include "soc/sink.h"

#define RETRY_AFTER_MAX_S 86400

DEFINE_CLEANUP(curl_slist_free_all, struct curl_slist *)

struct webhook {
    const struct sink_options *options;
    CURL *curl;
};

static int webhook_check(const struct sink_options *o, char ret_reason[SINK_REASON])
{
    if (o->url &&
        (strncasecmp(o->url, "http://", 7) == 0 || strncasecmp(o->url, "https://", 8) == 0))
        return 0;
    snprintf(ret_reason, SINK_REASON, "url: must be given, and begin with https:// or http://");
    return -EINVAL;
}

static void start_curl(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

static int webhook_open(const struct sink_options *o, void **ret)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start_curl);
    if (sodium_init() < 0)
        return -EIO;
    struct webhook *w = calloc(1, sizeof(*w));
    if (!w)
        return -ENOMEM;
    w->options = o;
    w->curl = curl_easy_init();
    if (!w->curl) {
        free(w);
        return -ENOMEM;
    }
    *ret = w;
    return 0;
}

static void webhook_close(void *sink)
{
    struct webhook *w = sink;
    curl_easy_cleanup(w->curl);
    free(w);
}

static size_t ignore(char *data, size_t size, size_t n, void *argument)
{
    (void)data, (void)argument;
    return size * n;
}

static void sign(const char *secret, const char *timestamp, const char *body,
                 char ret_hex[2 * crypto_auth_hmacsha256_BYTES + 1])
{
    crypto_auth_hmacsha256_state state;
    uint8_t mac[crypto_auth_hmacsha256_BYTES];
    crypto_auth_hmacsha256_init(&state, (const uint8_t *)secret, strlen(secret));
    crypto_auth_hmacsha256_update(&state, (const uint8_t *)timestamp, strlen(timestamp));
    crypto_auth_hmacsha256_update(&state, (const uint8_t *)".", 1);
    crypto_auth_hmacsha256_update(&state, (const uint8_t *)body, strlen(body));
    crypto_auth_hmacsha256_final(&state, mac);
    sodium_bin2hex(ret_hex, 2 * sizeof(mac) + 1, mac, sizeof(mac));
}

static int add_header(struct curl_slist **list, const char *name, const char *value)
{
    CLEANUP(freep) char *line = NULL;
    if (asprintf(&line, "%s: %s", name, value) < 0) {
        line = NULL;
        return -ENOMEM;
    }
    struct curl_slist *longer = curl_slist_append(*list, line);
    if (!longer)
        return -ENOMEM;
    *list = longer;
    return 0;
}

static int headers(const struct webhook *w, const struct sink_delivery *d, const char *body,
                   struct curl_slist **ret)
{
    CLEANUP(curl_slist_free_allp) struct curl_slist *list = NULL;
    char timestamp[24], hex[2 * crypto_auth_hmacsha256_BYTES + 1], value[sizeof(hex) + 8];
    snprintf(timestamp, sizeof(timestamp), "%.0f", d->time);
    int r = add_header(&list, "Content-Type", "application/json");
    if (r == 0)
        r = add_header(&list, "X-Vigia-Delivery", d->id);
    if (r == 0)
        r = add_header(&list, "X-Vigia-Timestamp", timestamp);
    if (r == 0 && w->options->secret && w->options->secret[0]) {
        sign(w->options->secret, timestamp, body, hex);
        snprintf(value, sizeof(value), "sha256=%s", hex);
        r = add_header(&list, "X-Vigia-Signature", value);
    }
    if (r < 0)
        return r;
    *ret = TAKE(list);
    return 0;
}

/* Plain HTTP and HTTPS only, no redirects: an answer must not lead us elsewhere. */
static void configure(struct webhook *w, const char *body, struct curl_slist *list)
{
    const struct sink_options *o = w->options;
    long timeout = (long)((o->timeout_s > 0 ? o->timeout_s : 10) * 1000);
    curl_easy_reset(w->curl);
    curl_easy_setopt(w->curl, CURLOPT_URL, o->url);
    curl_easy_setopt(w->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(w->curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(w->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(w->curl, CURLOPT_TIMEOUT_MS, timeout);
    curl_easy_setopt(w->curl, CURLOPT_USERAGENT, "vigia/" VIGIA_VERSION);
    curl_easy_setopt(w->curl, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(w->curl, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(w->curl, CURLOPT_POSTFIELDSIZE, (long)strlen(body));
    curl_easy_setopt(w->curl, CURLOPT_WRITEFUNCTION, ignore);
}

/* 2xx is taken. 429, 408 and 5xx may be taken later (RFC 9110, 15.6; RFC 6585, 4); all else, the
 * redirects too, never. */
static void judge(struct webhook *w, struct sink_result *ret)
{
    long status = 0;
    curl_off_t after = 0;
    curl_easy_getinfo(w->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(w->curl, CURLINFO_RETRY_AFTER, &after);
    if (status >= 200 && status < 300) {
        ret->outcome = SINK_SENT;
        return;
    }
    bool later = status == 429 || status == 408 || status >= 500;
    ret->outcome = later ? SINK_RETRY : SINK_REFUSED;
    if (later && after > 0)
        ret->retry_after_s = (double)MIN(after, RETRY_AFTER_MAX_S);
    snprintf(ret->reason, sizeof(ret->reason), "the receiver answered %ld", status);
}

static void webhook_send(void *sink, const struct sink_delivery *delivery, struct sink_result *ret)
{
    struct webhook *w = sink;
    CLEANUP(freep) char *body = sink_body(delivery);
    CLEANUP(curl_slist_free_allp) struct curl_slist *list = NULL;
    *ret = (struct sink_result){.outcome = SINK_RETRY};
    if (!body || headers(w, delivery, body, &list) < 0) {
        snprintf(ret->reason, sizeof(ret->reason), "no memory");
        return;
    }
    configure(w, body, list);
    CURLcode code = curl_easy_perform(w->curl);
    if (code == CURLE_OK)
        judge(w, ret);
    else
        snprintf(ret->reason, sizeof(ret->reason), "%s", curl_easy_strerror(code));
}

const struct sink_ops sink_webhook = {
    .name = "webhook",
    .check = webhook_check,
    .open = webhook_open,
    .close = webhook_close,
    .send = webhook_send,
};
