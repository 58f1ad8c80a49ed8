/* A C program that uses libnativealloc.so by its own names: linked to it, or (LOADED) loading it at run time, where
 * malloc stays the C library's. */

#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "nativealloc.h"

static int failed, passed;

static void is(int condition, const char *what)
{
    if (condition) passed++;
    else { failed++; printf("FAILED: %s\n", what); }
}

int main(int count, char **arguments)
{
    void *library = NULL;
    (void)count;
    (void)arguments;
#ifdef LOADED
    library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
    if (!library) { printf("FAILED: %s\n", dlerror()); return 1; }
    void *(*na_malloc)(size_t) = (void *(*)(size_t))dlsym(library, "na_malloc");
    void *(*na_calloc)(size_t, size_t) = (void *(*)(size_t, size_t))dlsym(library, "na_calloc");
    void *(*na_realloc)(void *, size_t) = (void *(*)(void *, size_t))dlsym(library, "na_realloc");
    void *(*na_reallocarray)(void *, size_t, size_t) =
        (void *(*)(void *, size_t, size_t))dlsym(library, "na_reallocarray");
    void *(*na_aligned_alloc)(size_t, size_t) = (void *(*)(size_t, size_t))dlsym(library, "na_aligned_alloc");
    int (*na_posix_memalign)(void **, size_t, size_t) =
        (int (*)(void **, size_t, size_t))dlsym(library, "na_posix_memalign");
    void (*na_free)(void *) = (void (*)(void *))dlsym(library, "na_free");
    size_t (*na_usable_size)(void *) = (size_t (*)(void *))dlsym(library, "na_usable_size");
    size_t (*na_trim)(void) = (size_t (*)(void))dlsym(library, "na_trim");
    int (*na_owns)(void *) = (int (*)(void *))dlsym(library, "na_owns");
#endif
    errno = 123;
    char *block = na_malloc(100);
    is(block && na_owns(block) && na_usable_size(block) >= 100, "na_malloc");
    is(errno == 123, "the first block, for which the runtime starts, leaves errno as it was");
    strcpy(block, "kept");
    block = na_realloc(block, 2000000);
    is(block && na_owns(block) && strcmp(block, "kept") == 0, "na_realloc");
    na_free(block);
    block = na_calloc(1000, 10);
    is(block && na_owns(block) && block[9999] == 0, "na_calloc");
    na_free(block);
    block = na_aligned_alloc(4096, 10);
    is(block && na_owns(block) && (uintptr_t)block % 4096 == 0, "na_aligned_alloc");
    na_free(block);
    /* What these use of the others is this library's, too, and not the program's. */
    block = na_realloc(NULL, 100);
    is(block && na_owns(block), "na_realloc of no block");
    block = na_reallocarray(block, 100, 100);
    is(block && na_owns(block), "na_reallocarray");
    is(!na_realloc(block, 0), "na_realloc to nothing, which frees");
    void *aligned = NULL;
    is(na_posix_memalign(&aligned, 16, 10) == 0 && na_owns(aligned), "na_posix_memalign");
    na_free(aligned);
    na_trim();
    block = malloc(100);
    is(block && na_owns(block) == !library, library ? "malloc is the C library's" : "malloc is ours");
    na_free(block); /* takes blocks of both */
    if (library) is(dlclose(library) == 0, "dlclose, which leaves it where it is");
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
