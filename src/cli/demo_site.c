#include "cli/demo_site.h"

/* CGI in dash and coreutils: every step of it is a program of its own, as in real life. Its hole is
 * the classic one: what the visitor asks for becomes part of a shell command (CWE-78). The steps
 * run one after the other: pipes and $(...) make the order of calls a matter of chance, and a
 * hundred seconds are too few to learn chance from. */
static const char search[] = "#!/bin/sh\n"
                             "# /cgi-bin/search?q=word: looks a word up in the catalogue.\n"
                             "printf 'Content-Type: text/plain\\r\\n\\r\\n'\n"
                             "sh -c \"grep -i -e ${QUERY_STRING#q=} /srv/catalogue.txt\" 2>&1\n"
                             "exec date '+%s search' >> /srv/access.log\n";

static const char stats[] = "#!/bin/sh\n"
                            "# /cgi-bin/stats: how busy the shop is.\n"
                            "printf 'Content-Type: text/plain\\r\\n\\r\\n'\n"
                            "date '+%F %T'\n"
                            "wc -l /srv/access.log\n"
                            "tail -n 5 /srv/access.log\n"
                            "exec ls -l /srv\n";

static const char order[] =
    "#!/bin/sh\n"
    "# POST /cgi-bin/order: keeps an order, and at most a hundred of them.\n"
    "printf 'Content-Type: text/plain\\r\\n\\r\\n'\n"
    "head -c 1000 > /tmp/order.$$\n"
    "cat /tmp/order.$$ >> /srv/orders\n"
    "tail -n 100 /srv/orders > /srv/orders.new && mv /srv/orders.new /srv/orders\n"
    "rm -f /tmp/order.$$\n"
    "date '+%s order' >> /srv/access.log\n"
    "tail -n 200 /srv/access.log > /srv/access.new && mv /srv/access.new /srv/access.log\n"
    "echo ordered\n";

static const char catalogue[] =
    "amber lantern\nbrass telescope\ncoil of rope\ncopper compass\ndeck chair\nfog horn\n"
    "harbour chart\nlantern wick\nlead line\nlighthouse print\nmarine clock\noil can\noilskin "
    "coat\n"
    "pilot book\nrigging knife\nsea boots\nsextant\nsignal flag\nspy glass\nstorm lantern\n";

static const struct file {
    const char *path;
    mode_t mode;
    const char *text;
} files[] = {
    {"/srv/www/index.html", 0644,
     "<!doctype html><title>Chandlery</title><h1>Chandlery</h1>"
     "<form action=/cgi-bin/search><input name=q></form>\n"},
    {"/srv/www/style.css", 0644, "body { font-family: serif }\n"},
    {"/srv/www/cgi-bin/search", 0755, search},
    {"/srv/www/cgi-bin/stats", 0755, stats},
    {"/srv/www/cgi-bin/order", 0755, order},
    {"/srv/catalogue.txt", 0644, catalogue},
    {"/srv/access.log", 0644, ""},
    {"/srv/orders", 0644, ""},
    {"/srv/shop.env", 0600, "DB_PASSWORD=made-up-for-this-container\n"},
    {"/root/.ssh/id_ed25519", 0600,
     "-----BEGIN OPENSSH PRIVATE KEY-----\nmade up for this container\n"
     "-----END OPENSSH PRIVATE KEY-----\n"},
};

int demo_site_web(const char *directory, struct box **ret)
{
    static const char *const args[] = {"/bin/busybox",   "httpd", "-f",       "-p",
                                       "127.0.0.1:8080", "-h",    "/srv/www", NULL};
    static const char *const programs[] = {"busybox", "dash", "grep",  "head", "tail",
                                           "date",    "wc",   "ls",    "cat",  "mv",
                                           "rm",      "id",   "chmod", NULL};
    CLEANUP(box_freep) struct box *b = NULL;
    int r = box_new(directory, DEMO_WEB, args, &b);
    r = r < 0 ? r : box_add_programs(b, programs);
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(files); i++)
        r = box_add_file(b, files[i].path, files[i].mode, files[i].text);
    if (r < 0)
        return r;
    *ret = TAKE(b);
    return 0;
}

int demo_site_redis(const char *directory, struct box **ret)
{
    static const char *const args[] = {"/usr/bin/redis-server", "/etc/redis.conf", NULL};
    CLEANUP(box_freep) struct box *b = NULL;
    int r = box_new(directory, DEMO_REDIS, args, &b);
    r = r < 0 ? r : box_add_program(b, "redis-server");
    r = r < 0 ? r : box_add_directory(b, "/data", 0755);
    r = r < 0 ? r
              : box_add_file(b, "/etc/redis.conf", 0644,
                             "bind 127.0.0.1\nport 6379\ndir /data\nsave \"\"\nappendonly yes\n"
                             "appendfsync everysec\nmaxmemory 32mb\n");
    if (r < 0)
        return r;
    *ret = TAKE(b);
    return 0;
}
