/* The limit: a bare epoll loop, as little between the kernel and the bytes as there can be.
 *
 *     limit MODE LISTENING CONTROL READY [CERTIFICATES]
 *
 * MODE is echo, datagrams, tls, sink or source. LISTENING and CONTROL are descriptors that the program was started with:
 * the socket to serve on, and one that gets the line READY and then, for each line that comes in, the processor time used
 * so far. One thread serves, another one answers that and sleeps in between, as in the process of a loop.
 *
 * It is level-triggered, reads once per report and writes at once; what the kernel does not take waits for room, and
 * nothing more is read from that connection meanwhile. It handles no error: a connection that has one is closed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* Of OpenSSL's interface, so that no headers of the version that Python loaded are needed. */
#ifdef WITH_TLS
typedef struct ssl_ctx_st SSL_CTX;
typedef struct ssl_st SSL;
extern const void *TLS_server_method(void);
extern SSL_CTX *SSL_CTX_new(const void *method);
extern int SSL_CTX_use_certificate_chain_file(SSL_CTX *context, const char *file);
extern int SSL_CTX_use_PrivateKey_file(SSL_CTX *context, const char *file, int type);
extern long SSL_CTX_ctrl(SSL_CTX *context, int command, long number, void *pointer);
extern SSL *SSL_new(SSL_CTX *context);
extern int SSL_set_fd(SSL *ssl, int fd);
extern void SSL_set_accept_state(SSL *ssl);
extern int SSL_read(SSL *ssl, void *buffer, int size);
extern int SSL_write(SSL *ssl, const void *buffer, int size);
extern int SSL_has_pending(const SSL *ssl);
extern int SSL_get_error(const SSL *ssl, int result);
extern int SSL_shutdown(SSL *ssl);
extern void SSL_free(SSL *ssl);
enum { PEM = 1, CTRL_MODE = 33, CTRL_SET_READ_AHEAD = 41, PARTIAL_WRITE = 1, MOVING_BUFFER = 2, RELEASE_BUFFERS = 16 };
enum { WANT_READ = 2, WANT_WRITE = 3 };
#endif

enum { BUFFER = 256 * 1024, EVENTS = 1024, ACCEPTS = 64, DATAGRAM = 64 * 1024 };

struct connection {
    int fd;
    unsigned waits_for; /* EPOLLIN, or EPOLLOUT */
    char *unsent;
    size_t length;
#ifdef WITH_TLS
    SSL *ssl;
#endif
};

static char buffer[BUFFER];
static int poller;
static FILE *marks, *lines; /* both ways of CONTROL */

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void *answer(void *unused) {
    char line[64];
    (void)unused;
    while (fgets(line, sizeof line, marks)) {
        struct rusage usage;
        long resident = 0;
        FILE *memory = fopen("/proc/self/statm", "r");
        if (!memory || fscanf(memory, "%*d %ld", &resident) != 1) die("statm");
        fclose(memory);
        getrusage(RUSAGE_SELF, &usage);
        double cpu = usage.ru_utime.tv_sec + usage.ru_stime.tv_sec
            + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
        fprintf(lines, "{\"cpu\": %.6f, \"resident\": %ld}\n", cpu, resident * sysconf(_SC_PAGESIZE));
        fflush(lines);
    }
    _exit(0);
}

static void wait_for(struct connection *connection, unsigned events) {
    if (connection->waits_for == events) return;
    struct epoll_event event = {.events = events, .data.ptr = connection};
    if (epoll_ctl(poller, connection->waits_for ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, connection->fd, &event)) die("epoll_ctl");
    connection->waits_for = events;
}

static void finish(struct connection *connection) {
#ifdef WITH_TLS
    if (connection->ssl) {
        SSL_shutdown(connection->ssl);
        SSL_free(connection->ssl);
    }
#endif
    close(connection->fd);
    free(connection->unsent);
    free(connection);
}

/* Bytes read or written; 0 at the end or after an error; -1 if it has to wait. */
static ssize_t transfer(struct connection *connection, int writes, char *bytes, size_t length) {
#ifdef WITH_TLS
    if (connection->ssl) {
        int done = writes ? SSL_write(connection->ssl, bytes, (int)length) : SSL_read(connection->ssl, bytes, (int)length);
        if (done > 0) return done;
        int error = SSL_get_error(connection->ssl, done);
        return error == WANT_READ || error == WANT_WRITE ? -1 : 0;
    }
#endif
    ssize_t done = writes ? send(connection->fd, bytes, length, MSG_NOSIGNAL) : recv(connection->fd, bytes, length, 0);
    return done >= 0 ? done : errno == EAGAIN ? -1 : 0;
}

/* Whether the connection lives on. What is left over waits in the connection. */
static int write_out(struct connection *connection, char *bytes, size_t length) {
    while (length) {
        ssize_t sent = transfer(connection, 1, bytes, length);
        if (sent == 0) return 0;
        if (sent < 0) break;
        bytes += sent;
        length -= sent;
    }
    char *rest = NULL;
    if (length) {
        if (!(rest = malloc(length))) die("malloc");
        memcpy(rest, bytes, length);
    }
    free(connection->unsent);
    connection->unsent = rest;
    connection->length = length;
    wait_for(connection, length ? EPOLLOUT : EPOLLIN);
    return 1;
}

static int more_to_read(struct connection *connection) {
#ifdef WITH_TLS
    return connection->ssl && SSL_has_pending(connection->ssl);
#else
    (void)connection;
    return 0;
#endif
}

static void serve(struct connection *connection, int echoes) {
    if (connection->unsent && !write_out(connection, connection->unsent, connection->length)) {
        finish(connection);
        return;
    }
    if (connection->unsent) return;
    do {
        ssize_t received = transfer(connection, 0, buffer, BUFFER);
        if (received < 0) return;
        if (received == 0 || (echoes && !write_out(connection, buffer, received))) {
            finish(connection);
            return;
        }
    } while (!connection->unsent && more_to_read(connection));
}

static void pour(struct connection *connection) {
    ssize_t sent = transfer(connection, 1, buffer, BUFFER);
    if (sent == 0) finish(connection);
}

static void accept_some(int listening, void *context, unsigned events) {
    for (int number = 0; number < ACCEPTS; number++) {
        int fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) return;
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct connection *connection = calloc(1, sizeof *connection);
        if (!connection) die("calloc");
        connection->fd = fd;
#ifdef WITH_TLS
        if (context) {
            if (!(connection->ssl = SSL_new(context))) die("SSL_new");
            SSL_set_fd(connection->ssl, fd);
            SSL_set_accept_state(connection->ssl);
        }
#else
        (void)context;
#endif
        wait_for(connection, events);
    }
}

static void *make_context(const char *certificates) {
#ifdef WITH_TLS
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (!context || SSL_CTX_use_certificate_chain_file(context, certificates) != 1
        || SSL_CTX_use_PrivateKey_file(context, certificates, PEM) != 1) {
        fprintf(stderr, "no certificates in %s\n", certificates);
        exit(1);
    }
    /* Python's contexts release the buffers of idle connections, too. */
    SSL_CTX_ctrl(context, CTRL_MODE, PARTIAL_WRITE | MOVING_BUFFER | RELEASE_BUFFERS, NULL);
    /* Else each record is two reads: its head, its body. */
    SSL_CTX_ctrl(context, CTRL_SET_READ_AHEAD, 1, NULL);
    return context;
#else
    (void)certificates;
    fprintf(stderr, "built without TLS\n");
    exit(1);
#endif
}

static void echo_datagrams(int fd) {
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    ssize_t received = recvfrom(fd, buffer, DATAGRAM, 0, (struct sockaddr *)&address, &length);
    if (received >= 0) sendto(fd, buffer, received, 0, (struct sockaddr *)&address, length);
}

int main(int count, char **arguments) {
    if (count < 5) return 2;
    const char *mode = arguments[1];
    int listening = atoi(arguments[2]);
    int datagrams = !strcmp(mode, "datagrams"), source = !strcmp(mode, "source"), echoes = strcmp(mode, "sink") != 0;
    void *context = !strcmp(mode, "tls") ? make_context(count > 5 ? arguments[5] : "") : NULL;
    marks = fdopen(atoi(arguments[3]), "r");
    lines = fdopen(dup(atoi(arguments[3])), "w");
    if (!lines || !marks) die("control");
    if ((poller = epoll_create1(EPOLL_CLOEXEC)) < 0) die("epoll");
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, listening, &event)) die("epoll_ctl");
    fprintf(lines, "%s\n", arguments[4]);
    fflush(lines);
    pthread_t thread;
    if (pthread_create(&thread, NULL, answer, NULL)) die("thread");

    static struct epoll_event events[EVENTS];
    for (;;) {
        int happened = epoll_wait(poller, events, EVENTS, -1);
        for (int number = 0; number < happened; number++) {
            struct connection *connection = events[number].data.ptr;
            if (connection && source) pour(connection);
            else if (connection) serve(connection, echoes);
            else if (datagrams) echo_datagrams(listening);
            else accept_some(listening, context, source ? EPOLLOUT : EPOLLIN);
        }
    }
}
