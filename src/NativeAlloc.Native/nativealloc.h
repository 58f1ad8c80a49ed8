/* NativeAlloc for C: what libnativealloc.so exports beside the names of the C library. Each function does what the C
 * library's function of that name does, errno included; blocks of the two sets of names are the same. */
#ifndef NATIVEALLOC_H
#define NATIVEALLOC_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

void *na_malloc(size_t size);
void na_free(void *block);
void *na_calloc(size_t count, size_t size);
void *na_realloc(void *block, size_t size); /* a size of 0 frees the block */
void *na_reallocarray(void *block, size_t count, size_t size);
void *na_aligned_alloc(size_t alignment, size_t size);
int na_posix_memalign(void **block, size_t alignment, size_t size);
void *na_memalign(size_t alignment, size_t size);
size_t na_usable_size(void *block);

/* Gives all free memory back to the system; bytes returned. */
size_t na_trim(void);

/* 1 for an address in memory of this allocator; 0 for blocks of the C library, which this library hands out, too:
 * before the runtime is up, in the runtime itself, at the end of a thread, and in a child after fork. */
int na_owns(void *address);

#ifdef __cplusplus
}
#endif
#endif
