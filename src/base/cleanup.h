/* Owning locals are freed by their scope, and leave a function only through TAKE().
 *
 *     CLEANUP(buf_free) struct buf *b = NULL;      freed at every return
 *     *ret = TAKE(b);                              handed to the caller, b is NULL afterwards
 *
 * A cleanup function takes a pointer to the variable; DEFINE_CLEANUP(x_free, struct x *) makes
 * x_freep out of x_free for pointers that may be NULL. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CLEANUP(fn) __attribute__((cleanup(fn)))

#define TAKE(p)                                                                                    \
    ({                                                                                             \
        __auto_type take_ = (p);                                                                   \
        (p) = NULL;                                                                                \
        take_;                                                                                     \
    })

#define TAKE_FD(fd)                                                                                \
    ({                                                                                             \
        int take_ = (fd);                                                                          \
        (fd) = -1;                                                                                 \
        take_;                                                                                     \
    })

#define DEFINE_CLEANUP(fn, type)                                                                   \
    static inline void fn##p(type *p)                                                              \
    {                                                                                              \
        if (*p)                                                                                    \
            fn(*p);                                                                                \
    }

static inline void freep(void *p)
{
    free(*(void **)p);
}

static inline void closep(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

DEFINE_CLEANUP(fclose, FILE *)

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
