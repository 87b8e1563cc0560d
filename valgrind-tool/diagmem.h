/* diagmem.h: client requests for programs that run under the diagmem tool.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026, the diagmem authors
 *
 * This one file, unlike the tool it speaks to, is under a BSD licence, so
 * that it can be included in any program.  The text of the licence is in
 * LICENSE.BSD beside it.
 *
 * A program names its buffers and brackets what it wants watched:
 *
 *     #include "diagmem.h"
 *
 *     DIAGMEM_BUFFER("x", DIAGMEM_INPUT,  x, sizeof x);
 *     DIAGMEM_BUFFER("y", DIAGMEM_OUTPUT, y, sizeof y);
 *     DIAGMEM_WINDOW_BEGIN("my_kernel");
 *     my_kernel(x, y);
 *     DIAGMEM_WINDOW_END();
 *
 * Outside Valgrind each request costs a few instructions and does nothing.
 * Where valgrind/valgrind.h is not installed, or with -DDIAGMEM_DISABLE, they
 * compile to nothing at all.
 *
 * The numbers below are an ABI: append, never renumber, never reuse.
 */
#ifndef DIAGMEM_H
#define DIAGMEM_H

#if !defined(DIAGMEM_DISABLE) && defined(__has_include)
#if !__has_include(<valgrind/valgrind.h>)
#define DIAGMEM_DISABLE
#endif
#endif

/* What a buffer is to the kernel. */
typedef enum {
    DIAGMEM_INPUT = 0,
    DIAGMEM_OUTPUT = 1,
    DIAGMEM_WEIGHTS = 2,
    DIAGMEM_SCRATCH = 3,
    DIAGMEM_ARENA = 4,
    DIAGMEM_OTHER = 5,
    DIAGMEM_INOUT = 6 /* input and output in one: the kernel works in place */
} DiagmemRole;

#ifndef DIAGMEM_DISABLE
#include <valgrind/valgrind.h>

typedef enum {
    /* Is the program running under diagmem?  Answers 1, else 0. */
    DM_USERREQ_RUNNING = VG_USERREQ_TOOL_BASE('D', 'M'),
    /* (const char *name, DiagmemRole role, const void *start, size_t bytes) */
    DM_USERREQ_BUFFER,
    /* (const char *name): the buffer of that name is no more. */
    DM_USERREQ_FORGET,
    /* (const char *name): a window of that name opens in this thread. */
    DM_USERREQ_WINDOW_BEGIN,
    /* (): it closes. */
    DM_USERREQ_WINDOW_END
} DiagmemClientRequest;

#define DIAGMEM_RUNNING() \
    ((int)VALGRIND_DO_CLIENT_REQUEST_EXPR(0, DM_USERREQ_RUNNING, 0, 0, 0, 0, 0))

/* Declare a buffer, or say where the buffer of that name now lies.  A buffer
 * may lie inside another (a tensor in its arena); it may move between
 * windows but not while one is open. */
#define DIAGMEM_BUFFER(name, role, start, bytes)                             \
    VALGRIND_DO_CLIENT_REQUEST_STMT(DM_USERREQ_BUFFER, (name), (role),       \
                                    (start), (bytes), 0)

#define DIAGMEM_FORGET(name) \
    VALGRIND_DO_CLIENT_REQUEST_STMT(DM_USERREQ_FORGET, (name), 0, 0, 0, 0)

#define DIAGMEM_WINDOW_BEGIN(name) \
    VALGRIND_DO_CLIENT_REQUEST_STMT(DM_USERREQ_WINDOW_BEGIN, (name), 0, 0, 0, 0)

#define DIAGMEM_WINDOW_END() \
    VALGRIND_DO_CLIENT_REQUEST_STMT(DM_USERREQ_WINDOW_END, 0, 0, 0, 0, 0)

#else

#define DIAGMEM_RUNNING() 0
#define DIAGMEM_BUFFER(name, role, start, bytes) \
    ((void)(name), (void)(role), (void)(start), (void)(bytes))
#define DIAGMEM_FORGET(name) ((void)(name))
#define DIAGMEM_WINDOW_BEGIN(name) ((void)(name))
#define DIAGMEM_WINDOW_END() ((void)0)

#endif
#endif /* DIAGMEM_H */
