/* What C and glibc promise of malloc and its family. Runs over glibc's own allocator and over libnativealloc.so:
 *   semantics          with whatever allocator there is
 *   semantics ours     it has to be libnativealloc.so
 * Ends with a summary; exit code 0 if all is as promised. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static atomic_int failed, passed;
static int is_ours;
static int (*owns)(void *);
static void *volatile sink; /* keeps the compiler from knowing what malloc returns */

#define IS(condition)                                                                      \
    do {                                                                                   \
        if (condition) passed++;                                                           \
        else { failed++; printf("FAILED line %d: %s (errno %d)\n", __LINE__, #condition, errno); } \
    } while (0)

static void *hide(void *block)
{
    sink = block;
    return sink;
}

static volatile size_t too_much = (size_t)PTRDIFF_MAX + 1, everything = SIZE_MAX;

static void sizes(void)
{
    void *first = hide(malloc(0)), *second = hide(malloc(0));
    IS(first && second && first != second);
    free(first);
    free(second);
    free(NULL);
    IS(malloc_usable_size(NULL) == 0);
    for (size_t size = 1; size < 3000000; size = size * 5 / 4 + 1) {
        char *block = hide(malloc(size));
        IS(block && (uintptr_t)block % 16 == 0 && malloc_usable_size(block) >= size);
        memset(block, 0x5a, malloc_usable_size(block));
        free(block);
        char *zeroed = hide(calloc(size / 3 + 1, 3));
        size_t at = 0;
        while (at < size && zeroed[at] == 0) at++;
        IS(at == size);
        free(zeroed);
    }
}

static void refusals(void)
{
    errno = 0;
    IS(!hide(malloc(too_much)) && errno == ENOMEM);
    errno = 0;
    IS(!hide(malloc(everything)) && errno == ENOMEM);
    errno = 0;
    IS(!hide(calloc(everything / 2, 3)) && errno == ENOMEM);
    char *block = hide(malloc(100));
    memset(block, 7, 100);
    errno = 0;
    IS(!hide(realloc(hide(block), too_much)) && errno == ENOMEM);
    errno = 0;
    IS(!hide(reallocarray(hide(block), everything / 2, 3)) && errno == ENOMEM);
    IS(block[0] == 7 && block[99] == 7);
    free(block);
    errno = 0;
    IS(!hide(pvalloc(everything)) && errno == ENOMEM);
    errno = 0;
    IS(!hide(valloc(everything)) && errno == ENOMEM);
    errno = 0;
    IS(!hide(memalign(64, everything - 10)) && errno == ENOMEM);
    errno = 0;
    IS(!hide(aligned_alloc(64, everything - 10)) && errno == ENOMEM);
}

static void errors_are_kept(void)
{
    errno = 123;
    void *block = hide(malloc(5000000));
    IS(errno == 123);
    free(block);
    IS(errno == 123);
    block = hide(malloc(10));
    free(block);
    IS(errno == 123);
}

static void reallocations(void)
{
    void *nothing = hide(realloc(NULL, 0));
    IS(nothing);
    IS(!hide(realloc(nothing, 0))); /* which has freed it */
    unsigned char *block = NULL;
    size_t size = 0;
    for (int step = 0; step < 400; step++) {
        size_t changed = step % 3 == 2 ? size / 2 + 1 : size * 3 / 2 + 17;
        if (changed > 30000000) changed = 10;
        block = hide(realloc(block, changed));
        size_t kept = size < changed ? size : changed, at = 0;
        while (at < kept && block[at] == (unsigned char)(at * 31)) at++;
        IS(at == kept);
        for (at = 0; at < changed; at++) block[at] = (unsigned char)(at * 31);
        size = changed;
    }
    free(block);
    int *array = hide(reallocarray(NULL, 100, sizeof(int)));
    IS(array && malloc_usable_size(array) >= 100 * sizeof(int));
    free(array);
}

static void alignments(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (size_t alignment = 1; alignment <= 4 << 20; alignment *= 2) {
        for (size_t size = 0; size <= 100000; size = size * 7 + 1) {
            char *block = hide(memalign(alignment, size));
            IS(block && (uintptr_t)block % alignment == 0 && malloc_usable_size(block) >= size);
            memset(block, 1, size);
            block = hide(realloc(block, size + 100));
            IS(block && (size == 0 || block[size - 1] == 1));
            free(block);
            block = hide(aligned_alloc(alignment, size));
            IS(block && (uintptr_t)block % alignment == 0);
            free(block);
            void *other = &page;
            errno = 55;
            int error = posix_memalign(&other, alignment, size);
            if (alignment < sizeof(void *)) {
                IS(error == EINVAL && other == &page && errno == 55);
            } else {
                IS(error == 0 && (uintptr_t)other % alignment == 0 && errno == 55);
                free(other);
            }
        }
    }
    void *other = &page;
    IS(posix_memalign(&other, 24, 10) == EINVAL && other == &page);
    IS(posix_memalign(&other, 0, 10) == EINVAL && other == &page);
    IS(posix_memalign(&other, 64, everything - 10) == ENOMEM && other == &page);
    void *rounded = hide(memalign(24, 100)); /* glibc rounds the alignment up */
    IS(rounded && (uintptr_t)rounded % 32 == 0);
    free(rounded);
    errno = 0;
    rounded = hide(aligned_alloc(24, 100)); /* since 2.38 it refuses here */
    IS(rounded ? (uintptr_t)rounded % 8 == 0 : errno == EINVAL);
    free(rounded);
    errno = 0;
    IS(!hide(memalign((size_t)SIZE_MAX / 2 + 2, 1)) && errno == EINVAL);
    void *block = hide(valloc(10));
    IS((uintptr_t)block % page == 0);
    free(block);
    block = hide(pvalloc(page + 1));
    IS((uintptr_t)block % page == 0 && malloc_usable_size(block) >= 2 * page);
    free(block);
}

static void library_functions(void)
{
    char *copy = strdup("a copy"), *text = NULL, *line = NULL;
    IS(strcmp(copy, "a copy") == 0);
    free(copy);
    IS(asprintf(&text, "%d-%s", 42, "x") == 4 && strcmp(text, "42-x") == 0);
    free(text);
    FILE *file = tmpfile();
    for (int i = 0; i < 2000; i++) fprintf(file, "%0*d\n", i + 1, i);
    rewind(file);
    size_t capacity = 0;
    int lines = 0;
    while (getline(&line, &capacity, file) > 0) lines += atoi(line) == lines;
    IS(lines == 2000);
    free(line);
    fclose(file);
}

/* ── Threads ──────────────────────────────────────────────────────────────────────────────────────────────────── */

enum { BLOCKS = 3000 };
static unsigned char *_Atomic shared[BLOCKS];
static atomic_int stop;
static pthread_key_t at_exit;

static unsigned next_random(unsigned *seed) { return *seed = *seed * 1664525u + 1013904223u; }

static int holds(unsigned char *block)
{
    size_t size = ((size_t)block[1] << 8 | block[0]) + 2;
    for (size_t at = 2; at < size; at += 97)
        if (block[at] != (unsigned char)size) return 0;
    return 1;
}

static unsigned char *make(unsigned *seed)
{
    size_t size = next_random(seed) >> 8 & 0x3ff;
    if (size % 64 == 0) size = 30000;
    unsigned char *block = malloc(size + 2);
    memset(block, (unsigned char)(size + 2), size + 2);
    block[0] = size & 255;
    block[1] = (unsigned char)(size >> 8);
    return block;
}

/* Each exchanges blocks for its own: most are freed by another thread. */
static void *exchange(void *argument)
{
    unsigned seed = (unsigned)(uintptr_t)argument;
    pthread_setspecific(at_exit, strdup("before"));
    for (int i = 0; i < 60000 && !stop; i++) {
        unsigned char *old = atomic_exchange(&shared[(next_random(&seed) >> 4) % BLOCKS], make(&seed));
        if (old) {
            if (!holds(old)) { failed++; printf("FAILED: the contents of a block of another thread\n"); }
            free(old);
        }
    }
    return malloc(10);
}

/* Runs when the runtime has taken leave of the thread. The block is of the time before. */
static void last_words(void *block)
{
    char *moved = realloc(block, 100000);
    IS(moved && memcmp(moved, "before", 7) == 0);
    free(moved);
    char *late = malloc(200);
    memset(late, 1, 200);
    late = realloc(late, 20000);
    free(late);
    free(calloc(3, 1000));
}

static void several_threads(void)
{
    pthread_t thread[4];
    for (uintptr_t i = 0; i < 4; i++) IS(pthread_create(&thread[i], NULL, exchange, (void *)(i + 1)) == 0);
    for (int i = 0; i < 4; i++) {
        void *result;
        IS(pthread_join(thread[i], &result) == 0 && result);
        free(result);
    }
}

static void *little(void *argument)
{
    pthread_setspecific(at_exit, strdup("before"));
    void *block = malloc((size_t)(uintptr_t)argument * 10);
    free(malloc(3000));
    return block;
}

static void many_threads(void)
{
    for (uintptr_t i = 1; i <= 300; i++) {
        pthread_t thread;
        void *result = NULL;
        if (pthread_create(&thread, NULL, little, (void *)i) || pthread_join(thread, &result) || !result) failed++;
        free(result);
    }
    passed++;
}

/* ── fork ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

static int exit_code_of(pid_t child)
{
    int status;
    return waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int in_child(char *small, char *large)
{
    for (int i = 0; i < 1000; i++) free(malloc((size_t)i * 50));
    char *grown = realloc(small, 5000);
    if (!grown || strcmp(grown, "from the parent") != 0) return 1;
    grown = realloc(grown, 10);
    if (memcmp(grown, "from the p", 10) != 0) return 2;
    free(grown);
    if (large[0] != 3 || large[2999999] != 3 || malloc_usable_size(large) < 3000000) return 3;
    large = realloc(large, 4000000);
    if (large[0] != 3 || large[2999999] != 3) return 4;
    free(large);
    void *block = malloc(10);
    if (is_ours && owns(block)) return 5;
    pid_t child = fork();
    if (child == 0) {
        free(block);
        _exit(block && malloc(100) ? 0 : 1);
    }
    return exit_code_of(child) == 0 ? 0 : 6;
}

static void forks(void)
{
    for (int i = 0; i < 5; i++) {
        char *small = strdup("from the parent"), *large = malloc(3000000);
        memset(large, 3, 3000000);
        pid_t child = fork();
        if (child == 0) exit(in_child(small, large));
        IS(exit_code_of(child) == 0);
        IS(strcmp(small, "from the parent") == 0 && large[2999999] == 3);
        free(small);
        free(large);
    }
}

static void forks_among_threads(void)
{
    stop = 0;
    pthread_t thread[3];
    for (uintptr_t i = 0; i < 3; i++) pthread_create(&thread[i], NULL, exchange, (void *)(i + 10));
    for (int i = 0; i < 40; i++) {
        char *small = strdup("from the parent"), *large = malloc(3000000);
        memset(large, 3, 3000000);
        pid_t child = fork();
        if (child == 0) {
            alarm(20);
            _exit(in_child(small, large));
        }
        IS(exit_code_of(child) == 0);
        free(small);
        free(large);
    }
    stop = 1;
    for (int i = 0; i < 3; i++) {
        void *result;
        pthread_join(thread[i], &result);
        free(result);
    }
}

static atomic_int waiting;

static void *wait_for_stop(void *unused)
{
    free(malloc(10));
    waiting++;
    while (!stop) usleep(1000);
    return unused;
}

static void *nothing(void *unused) { return unused; }

/* The stacks of threads that a child does not have are more than the C library keeps. It unmaps them when a thread of
 * the child's own ends. What the child's end touches must not lie there. */
static void a_child_ends_without_the_threads(void)
{
    stop = 0;
    pthread_t thread[3], own;
    pthread_attr_t large;
    pthread_attr_init(&large);
    pthread_attr_setstacksize(&large, 64 << 20);
    for (int i = 0; i < 3; i++) IS(pthread_create(&thread[i], &large, wait_for_stop, NULL) == 0);
    while (waiting < 3) usleep(1000);
    pid_t child = fork();
    if (child == 0) {
        alarm(20);
        if (pthread_create(&own, NULL, nothing, NULL) != 0) _exit(1);
        pthread_join(own, NULL);
        exit(0);
    }
    IS(exit_code_of(child) == 0);
    stop = 1;
    for (int i = 0; i < 3; i++) pthread_join(thread[i], NULL);
    pthread_attr_destroy(&large);
}

static void other_programs(void)
{
    extern char **environ;
    pid_t child;
    char *arguments[] = {"true", NULL};
    IS(posix_spawn(&child, "/bin/true", NULL, NULL, arguments, environ) == 0 && exit_code_of(child) == 0);
    child = vfork();
    if (child == 0) {
        execv("/bin/true", arguments);
        _exit(1);
    }
    IS(exit_code_of(child) == 0);
}

/* Signals for the process are the program's: no other thread takes them, and none is ignored on its behalf. */
static void signals(void)
{
    struct sigaction pipe;
    sigaction(SIGPIPE, NULL, &pipe);
    IS(pipe.sa_handler == SIG_DFL);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    kill(getpid(), SIGUSR1);
    IS(sigtimedwait(&set, NULL, &(struct timespec){5, 0}) == SIGUSR1);
}

static void what_is_no_block(void)
{
    pid_t child = fork();
    if (child == 0) {
        freopen("/dev/null", "w", stderr);
        char *block = hide(malloc(100));
        free(hide(block + 8));
        _exit(0);
    }
    int status;
    IS(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
}

static void its_own_names(void)
{
    void *(*na_malloc)(size_t) = (void *(*)(size_t))dlsym(RTLD_DEFAULT, "na_malloc");
    void (*na_free)(void *) = (void (*)(void *))dlsym(RTLD_DEFAULT, "na_free");
    size_t (*na_trim)(void) = (size_t (*)(void))dlsym(RTLD_DEFAULT, "na_trim");
    owns = (int (*)(void *))dlsym(RTLD_DEFAULT, "na_owns");
    IS(na_malloc && na_free && na_trim && owns);
    if (!owns) exit(1);
    void *small = malloc(10), *large = malloc(5000000), *own = na_malloc(100);
    IS(owns(small) && owns(large) && owns(own) && !owns(&small));
    free(own);
    na_free(small);
    free(large);
    na_trim();
    IS(malloc_trim(0) >= 0);
}

int main(int count, char **arguments)
{
    is_ours = count > 1 && strcmp(arguments[1], "ours") == 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    pthread_key_create(&at_exit, last_words);
    if (is_ours) its_own_names();
    sizes();
    refusals();
    errors_are_kept();
    reallocations();
    alignments();
    library_functions();
    several_threads();
    many_threads();
    forks();
    forks_among_threads();
    a_child_ends_without_the_threads();
    other_programs();
    signals();
    what_is_no_block();
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
