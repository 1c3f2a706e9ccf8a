#include "soc/origin.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

void address_text(const struct sockaddr *a, char ret[static ORIGIN_SIZE])
{
    snprintf(ret, ORIGIN_SIZE, "?");
    if (a && a->sa_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)a)->sin_addr, ret, ORIGIN_SIZE);
    else if (a && a->sa_family == AF_INET6)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)a)->sin6_addr, ret, ORIGIN_SIZE);
}

void origin_text(const struct sockaddr *a, char ret[static ORIGIN_SIZE])
{
    if (a && a->sa_family == AF_INET) {
        struct sockaddr_in v4 = *(const struct sockaddr_in *)a;
        if (ntohl(v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET)
            v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        address_text((const struct sockaddr *)&v4, ret);
    } else if (a && a->sa_family == AF_INET6) {
        struct sockaddr_in6 v6 = *(const struct sockaddr_in6 *)a;
        if (!IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr))
            memset(v6.sin6_addr.s6_addr + 8, 0, 8);
        address_text((const struct sockaddr *)&v6, ret);
    } else {
        address_text(a, ret);
    }
}
