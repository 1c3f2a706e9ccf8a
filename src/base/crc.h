/* CRC32C (Castagnoli), RFC 3720 appendix B.4: the check value of "123456789" is 0xe3069283. */
#pragma once

#include <stddef.h>
#include <stdint.h>

uint32_t crc32c(const void *data, size_t size);
