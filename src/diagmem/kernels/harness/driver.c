/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026, the diagmem authors
 *
 * driver.c: calls a kernel on the cases of a file.
 *
 *     driver CASES RESULTS
 *
 * Both files are made of 64-bit little-endian words and plain bytes.
 *
 * CASES    "DMCASES1", signature, number of cases, bytes of the largest region;
 *          then per case
 *            bytes of its region R, per buffer its offset in the region and
 *            its size, the packed values, the R bytes of the region.
 * RESULTS  "DMRESLT1", signature, number of cases;
 *          then per case what the kernel returned (0 for void) and the region
 *          after the call.
 *
 * The region holds all buffers and the guard zones between them just as they
 * are to lie in memory, so that whoever writes the file decides what overlaps
 * what and checks the guards; nothing of that is known here.  The region starts
 * on a page.  Results are flushed case by case: after a crash their number
 * tells which case it was.
 */
#include <stdio.h>
#include <stdlib.h>

#include "driver.h"

#define PAGE_BYTES 4096u

static void die(const char *what)
{
    fprintf(stderr, "driver: %s\n", what);
    exit(3);
}

void dm_expect(const char *function, int64_t returned, int64_t expected)
{
    if (returned == expected)
        return;
    fprintf(stderr, "driver: \"%s\", called before the kernel, returned %lld, expected %lld\n",
            function, (long long)returned, (long long)expected);
    exit(3);
}

static void read_all(FILE *file, void *to, size_t bytes)
{
    if (fread(to, 1, bytes, file) != bytes)
        die("the case file ends too early");
}

static uint64_t read_word(FILE *file)
{
    uint64_t word;
    read_all(file, &word, sizeof word);
    return word;
}

static void write_all(FILE *file, const void *from, size_t bytes)
{
    if (fwrite(from, 1, bytes, file) != bytes)
        die("cannot write the results");
}

static void check_magic(FILE *file)
{
    char magic[8];
    read_all(file, magic, sizeof magic);
    if (memcmp(magic, "DMCASES1", sizeof magic) != 0)
        die("not a case file of version 1");
    if (read_word(file) != dm_signature)
        die("the case file belongs to another kernel");
}

static void *allocate(uint64_t bytes)
{
    void *memory = aligned_alloc(PAGE_BYTES, (bytes / PAGE_BYTES + 1) * PAGE_BYTES);
    if (memory == NULL)
        die("out of memory");
    return memory;
}

#ifdef DM_ARENA_START
/* On a board the region lies where the recorder expects it. */
static unsigned char *take_region(uint64_t bytes)
{
    if (bytes > DM_ARENA_BYTES)
        die("the buffers do not fit the board's memory");
    return (unsigned char *)DM_ARENA_START;
}

static void return_region(unsigned char *region)
{
    (void)region;
}
#else
static unsigned char *take_region(uint64_t bytes)
{
    return allocate(bytes);
}

static void return_region(unsigned char *region)
{
    free(region);
}
#endif

/* One case: place and declare the buffers, call, write the region back. */
static void run_case(FILE *cases, FILE *results, unsigned char *region, uint64_t capacity)
{
    uint64_t bytes = read_word(cases);
    unsigned char **address = allocate(dm_buffer_count * sizeof *address);
    uint64_t *size = allocate(dm_buffer_count * sizeof *size);
    unsigned char *values = allocate(dm_value_bytes);
    int64_t status;

    if (bytes > capacity)
        die("a region is larger than the header says");
    for (uint64_t i = 0; i < dm_buffer_count; i++) {
        uint64_t offset = read_word(cases);
        size[i] = read_word(cases);
        if (offset > bytes || size[i] > bytes - offset)
            die("a buffer reaches out of its region");
        address[i] = region + offset;
    }
    read_all(cases, values, dm_value_bytes);
    read_all(cases, region, bytes);

    for (uint64_t i = 0; i < dm_buffer_count; i++)
        DIAGMEM_BUFFER(dm_buffers[i].name, dm_buffers[i].role, address[i], size[i]);
    status = dm_call(values, address);
    for (uint64_t i = 0; i < dm_buffer_count; i++)
        DIAGMEM_FORGET(dm_buffers[i].name);

    write_all(results, &status, sizeof status);
    write_all(results, region, bytes);
    if (fflush(results) != 0)
        die("cannot write the results");
    free(values);
    free(size);
    free(address);
}

int main(int argc, char **argv)
{
    FILE *cases, *results;
    unsigned char *region;
    uint64_t count, capacity;

    if (argc != 3)
        die("usage: driver CASES RESULTS");
    cases = fopen(argv[1], "rb");
    results = fopen(argv[2], "wb");
    if (cases == NULL || results == NULL)
        die("cannot open the case file or the results");

    check_magic(cases);
    count = read_word(cases);
    capacity = read_word(cases);
    region = take_region(capacity);
    write_all(results, "DMRESLT1", 8);
    write_all(results, &dm_signature, sizeof dm_signature);
    write_all(results, &count, sizeof count);
    for (uint64_t i = 0; i < count; i++)
        run_case(cases, results, region, capacity);

    return_region(region);
    if (fclose(results) != 0)
        die("cannot write the results");
    fclose(cases);
    return 0;
}
