/* The message of the syslog sink, for its test. */
#pragma once

#include "base/buf.h"
#include "soc/sink.h"

/* RFC 5424: header, [vigia@32473 ...], headline; no framing. */
int syslog_message(const struct sink_delivery *delivery, struct buf *ret);
