/* Who a client is to brakes and caps. */
#pragma once

#include <arpa/inet.h>
#include <sys/socket.h>

#define ORIGIN_SIZE INET6_ADDRSTRLEN

/* The address in full, as logs have it; "?" for none. */
void address_text(const struct sockaddr *a, char ret[static ORIGIN_SIZE]);
/* What one client has all of, written as its first address: of IPv6 the /64; of loopback all, since
 * everybody on the node may use any of 127.0.0.0/8. */
void origin_text(const struct sockaddr *a, char ret[static ORIGIN_SIZE]);
