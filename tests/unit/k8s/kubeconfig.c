/* SPDX-License-Identifier: Apache-2.0 */
#include "core/fs.h"
#include "k8s/kubeconfig.h"
#include "tests/kit/test.h"
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>

static const char *put(const char *name, const char *text)
{
    static char path[4][300];
    static int at;
    struct kr_err e = { 0 };
    char *p = path[at++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", test_tmpdir(), name);
    CHECK_INT(fs_write(p, str_of(text), 0600, false, &e), 0);
    return p;
}

static const char two[] =
    "apiVersion: v1\nkind: Config\ncurrent-context: one\n"
    "contexts:\n- name: one\n  context: {cluster: a, user: alice}\n- name: two\n  context: {cluster: b, user: bob, namespace: jobs}\n"
    "- name: nobody\n  context: {cluster: a}\n- name: astray\n  context: {cluster: gone, user: bob}\n"
    "- name: lost\n  context: {cluster: a, user: gone}\n"
    "clusters:\n- name: a\n  cluster: {server: 'https://a.example:6443/prefix/', certificate-authority-data: Q0E=}\n"
    "- name: b\n  cluster: {server: 'https://[::1]', certificate-authority: pki/ca.pem, tls-server-name: b.example, insecure-skip-tls-verify: true}\n"
    "users:\n- name: alice\n  user: {token: secret, client-certificate-data: Q0VSVA==, client-certificate: /nowhere, client-key-data: S0VZ}\n"
    "- name: bob\n  user: {tokenFile: token}\n";

TEST(the_current_context_with_data_members)
{
    struct kube_config c;
    struct kr_err e = { 0 };
    CHECK_OR(kube_config_load(&c, put("config", two), S(""), &e) == 0);
    CHECK_STR(c.context, S("one"));
    CHECK_STR(c.server, S("https://a.example:6443/prefix/"));
    CHECK_STR(c.host, S("a.example"));
    CHECK_INT(c.port, 6443);
    CHECK(c.tls && !c.insecure);
    CHECK_STR(c.path, S("/prefix"));
    CHECK_STR(c.ca, S("CA"));
    CHECK_STR(c.cert, S("CERT"));                 /* data goes before the file, which is not there */
    CHECK_STR(c.key, S("KEY"));
    CHECK_STR(c.token, S("secret"));
    CHECK_STR(c.ns, S("default"));
    kube_config_free(&c);
}

TEST(another_context_with_files_beside_the_kubeconfig_and_an_ipv6_server)
{
    struct kube_config c;
    struct kr_err e = { 0 };
    char dir[300];
    snprintf(dir, sizeof dir, "%s/pki", test_tmpdir());
    CHECK_INT(fs_make_dir(dir, 0700, &e), 0);
    put("pki/ca.pem", "the ca");
    const char *token = put("token", " t0ken\n");
    CHECK_OR(kube_config_load(&c, put("config", two), S("two"), &e) == 0);
    CHECK_STR(c.host, S("::1"));
    CHECK_INT(c.port, 443);
    CHECK_STR(c.path, S(""));
    CHECK_STR(c.ca, S("the ca"));
    CHECK_STR(c.server_name, S("b.example"));
    CHECK(c.insecure);
    CHECK_STR(c.token, S("t0ken"));
    CHECK_STR(c.token_file, str_of(token));
    CHECK_STR(c.ns, S("jobs"));
    kube_config_free(&c);
    CHECK_OR(kube_config_load(&c, put("config", two), S("nobody"), &e) == 0);
    CHECK_INT(c.token.n + c.cert.n, 0);
    kube_config_free(&c);
}

static void refused(const char *text, struct str context, enum kr_code code, const char *word)
{
    struct kube_config c;
    struct kr_err e = { 0 };
    CHECK_INT(kube_config_load(&c, put("bad", text), context, &e), -1);
    CHECK_INT(e.code, code);
    if (!CHECK(str_find(str_of(e.msg), str_of(word)) >= 0) || e.code != code)
        printf("    \"%s\" lacks \"%s\"\n", e.msg, word);
}

TEST(what_is_not_there_is_named)
{
    refused(two, S("three"), KR_NOT_FOUND, "no context \"three\"");
    refused(two, S("astray"), KR_NOT_FOUND, "no cluster \"gone\"");
    refused(two, S("lost"), KR_NOT_FOUND, "no user \"gone\"");
    refused("contexts: []\n", S(""), KR_INVALID, "current-context");
    refused("", S(""), KR_INVALID, "bad: ");
    refused("a: [\n", S(""), KR_BAD_REQUEST, "bad: ");
}

#define CONFIG(cluster, user) "current-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\n" \
                              "clusters: [{name: k, cluster: " cluster "}]\nusers: [{name: u, user: " user "}]\n"
#define SERVER "{server: 'https://h:1'}"

TEST(what_is_not_offered_is_refused_with_words)
{
    refused(CONFIG(SERVER, "{exec: {apiVersion: client.authentication.k8s.io/v1alpha1, command: aws}}"), S(""), KR_UNSUPPORTED, "v1alpha1\" is not offered");
    refused(CONFIG(SERVER, "{exec: {apiVersion: client.authentication.k8s.io/v1}}"), S(""), KR_INVALID, "no command");
    refused(CONFIG(SERVER, "{exec: {apiVersion: client.authentication.k8s.io/v1, command: aws}}"), S(""), KR_INVALID, "interactiveMode");
    refused(CONFIG(SERVER, "{exec: {apiVersion: client.authentication.k8s.io/v1, command: aws, interactiveMode: Maybe}}"), S(""), KR_INVALID, "\"Maybe\"");
    refused(CONFIG(SERVER, "{auth-provider: {name: gcp}}"), S(""), KR_UNSUPPORTED, "\"auth-provider\"");
    refused(CONFIG(SERVER, "{token: t, as-groups: [g]}"), S(""), KR_USAGE, "--as");
    refused(CONFIG("{server: 'https://h:1', proxy-url: 'ftp://p'}", "{}"), S(""), KR_UNSUPPORTED, "proxies are offered");
    refused(CONFIG("{server: 'https://h:1', proxy-url: 'http://u:secret@p:0'}", "{}"), S(""), KR_BAD_REQUEST, "not a port");
    refused(CONFIG("{}", "{}"), S(""), KR_INVALID, "no server");
    refused(CONFIG("{server: 'ftp://h'}", "{}"), S(""), KR_BAD_REQUEST, "ftp://h");
    refused(CONFIG("{server: 'https://h:70000'}", "{}"), S(""), KR_BAD_REQUEST, "70000");
    refused(CONFIG("{server: 'https://h:1', certificate-authority-data: '*'}", "{}"), S(""), KR_BAD_REQUEST, "certificate-authority-data");
    refused(CONFIG(SERVER, "{tokenFile: nowhere}"), S(""), KR_NOT_FOUND, "nowhere");
}

TEST(the_places_are_tried_in_order)
{
    struct kube_config c;
    struct kr_err e = { 0 };
    char home[300];
    snprintf(home, sizeof home, "%s/.kube", test_tmpdir());
    unsetenv("KUBERNETES_SERVICE_HOST");
    unsetenv("KUBECONFIG");
    setenv("HOME", test_tmpdir(), 1);
    CHECK_INT(kube_config_find(&c, &(struct kube_flags){ 0 }, &e), -1);
    CHECK_INT(e.code, KR_NOT_FOUND);
    CHECK(str_find(str_of(e.msg), S(".kube/config")) >= 0);
    CHECK_INT(fs_make_dir(home, 0700, &e), 0);
    put(".kube/config", CONFIG("{server: 'http://home:1'}", "{}"));
    CHECK_OR(kube_config_find(&c, &(struct kube_flags){ 0 }, &e) == 0);
    CHECK_STR(c.host, S("home"));
    CHECK(!c.tls);
    kube_config_free(&c);
    setenv("KUBECONFIG", put("env", CONFIG("{server: 'http://env:1'}", "{}")), 1);
    CHECK_OR(kube_config_find(&c, &(struct kube_flags){ 0 }, &e) == 0);
    CHECK_STR(c.host, S("env"));
    kube_config_free(&c);
    CHECK_OR(kube_config_find(&c, &(struct kube_flags){ .kubeconfig = str_of(put("given", CONFIG("{server: 'http://given:1'}", "{}"))) }, &e) == 0);
    CHECK_STR(c.host, S("given"));
    kube_config_free(&c);
}

static bool find(struct kube_config *c, const struct kube_flags *f)
{
    struct kr_err e = { 0 };
    bool ok = CHECK(kube_config_find(c, f, &e) == 0);
    if (!ok)
        printf("    %s\n", e.msg);
    return ok;
}

TEST(of_a_list_of_files_the_first_with_an_entry_has_it)
{
    struct kube_config c;
    struct kr_err e = { 0 };
    char list[1200], dir[300];
    snprintf(dir, sizeof dir, "%s/sub", test_tmpdir());
    CHECK_INT(fs_make_dir(dir, 0700, &e), 0);
    put("sub/ca.pem", "the sub's ca");
    const char *first = put("first", "contexts: [{name: x, context: {cluster: k, user: u, namespace: one}}]\nusers: [{name: u, user: {token: first}}]\n");
    const char *second = put("sub/second", "current-context: x\ncontexts: [{name: x, context: {cluster: other}}, {name: z, context: {cluster: k}}]\n"
                                           "clusters: [{name: k, cluster: {server: 'https://k', certificate-authority: ca.pem}}]\n"
                                           "users: [{name: u, user: {token: second, username: never}}]\n");
    snprintf(list, sizeof list, "%s/absent::%s:%s", test_tmpdir(), first, second);
    setenv("KUBECONFIG", list, 1);
    CHECK_OR(find(&c, &(struct kube_flags){ 0 }));
    CHECK_STR(c.context, S("x"));                 /* the first that has a current-context */
    CHECK_STR(c.ns, S("one"));
    CHECK_STR(c.host, S("k"));
    CHECK_STR(c.token, S("first"));
    CHECK_STR(c.username, S(""));                 /* entries aren't mixed */
    CHECK_STR(c.ca, S("the sub's ca"));           /* beside the file that names it */
    CHECK_STR(c.source, str_of(first));
    kube_config_free(&c);
    CHECK_OR(find(&c, &(struct kube_flags){ .context = S("z"), .user = S("u") }));
    CHECK_STR(c.token, S("first"));
    kube_config_free(&c);
    setenv("KUBECONFIG", "/nowhere/a:/nowhere/b", 1);
    CHECK_INT(kube_config_find(&c, &(struct kube_flags){ 0 }, &e), -1);
    CHECK_INT(e.code, KR_NOT_FOUND);
    const char *colon = put("with:colon", CONFIG("{server: 'http://colon:1'}", "{}"));
    CHECK_OR(find(&c, &(struct kube_flags){ .kubeconfig = str_of(colon) }));
    CHECK_STR(c.host, S("colon"));
    kube_config_free(&c);
}

TEST(a_credential_plugin_is_read_with_all_it_needs)
{
    struct kube_config c, copy;
    struct kr_err e = { 0 };
    const char *path = put("exec", "current-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\nclusters:\n- name: k\n  cluster:\n"
                                   "    server: https://h:1\n    certificate-authority-data: Q0E=\n    tls-server-name: inner\n    extensions:\n"
                                   "    - name: client.authentication.k8s.io/exec\n      extension: {audience: a}\nusers:\n- name: u\n  user:\n    exec:\n"
                                   "      apiVersion: client.authentication.k8s.io/v1beta1\n      command: ./bin/plugin\n      args: [get-token, '--x']\n"
                                   "      env: [{name: A, value: b}]\n      installHint: get it\n      provideClusterInfo: true\n");
    CHECK_OR(kube_config_load(&c, path, S(""), &e) == 0);
    kube_config_copy(&copy, &c);
    kube_config_free(&c);
    CHECK(str_ends(copy.exec.command, S("/./bin/plugin")) && copy.exec.command.p[0] == '/');
    CHECK_INT(copy.exec.nargs, 2);
    CHECK_STR(copy.exec.args[1], S("--x"));
    CHECK_STR(copy.exec.env[0].value, S("b"));
    CHECK_STR(copy.exec.install_hint, S("get it"));
    CHECK_INT(copy.exec.interactive, KUBE_IF_AVAILABLE);
    CHECK_STR(copy.exec.cluster, S("{\"server\":\"https://h:1\",\"tls-server-name\":\"inner\",\"certificate-authority-data\":\"Q0E=\",\"config\":{\"audience\":\"a\"}}"));
    kube_config_free(&copy);
    CHECK_OR(kube_config_load(&c, put("exec1", CONFIG(SERVER, "{exec: {apiVersion: client.authentication.k8s.io/v1, command: aws, interactiveMode: Never}}")),
                              S(""), &e) == 0);
    CHECK_STR(c.exec.command, S("aws"));          /* for $PATH */
    CHECK_INT(c.exec.interactive, KUBE_NEVER);
    CHECK_STR(c.exec.cluster, S(""));
    kube_config_free(&c);
}

TEST(users_may_act_as_others_and_have_passwords)
{
    struct kube_config c;
    struct kr_err e = { 0 };
    CHECK_OR(kube_config_load(&c, put("as", CONFIG(SERVER, "{username: me, password: word, as: you, as-uid: '7', as-groups: [g, h], as-user-extra: {k: [v, w]}}")),
                              S(""), &e) == 0);
    CHECK_STR(c.username, S("me"));
    CHECK_STR(c.password, S("word"));
    CHECK_STR(c.as, S("you"));
    CHECK_STR(c.as_uid, S("7"));
    CHECK_INT(c.nas_groups, 2);
    CHECK_STR(c.as_groups[1], S("h"));
    CHECK_INT(c.nas_extra, 2);
    CHECK_STR(c.as_extra[1].name, S("k"));
    CHECK_STR(c.as_extra[1].value, S("w"));
    kube_config_free(&c);
}

TEST(the_command_line_goes_before_the_files)
{
    struct kube_config c;
    struct kr_err e = { 0 };
    struct str groups[] = { S("a"), S("b") };
    struct str config = str_of(put("given", CONFIG("{server: 'https://h:1', tls-server-name: n}", "{token: t, as: x, as-uid: '1'}"))), ca = str_of(put("ca", "flag's ca"));
    setenv("HTTPS_PROXY", "http://env:1", 1);
    CHECK_OR(find(&c, &(struct kube_flags){ .kubeconfig = config, .server = S("https://[::2]:7/p/"), .token = S("mine"), .ca_file = ca, .server_name = S("m"),
                                            .proxy = S("socks5://s"), .as = S("y"), .as_groups = { groups, 2, 2 }, .timeout_us = 5, .insecure = true }));
    CHECK_STR(c.host, S("::2"));
    CHECK_INT(c.port, 7);
    CHECK_STR(c.path, S("/p"));
    CHECK_STR(c.token, S("mine"));
    CHECK_STR(c.ca, S("flag's ca"));
    CHECK_STR(c.ca_file, ca);
    CHECK_STR(c.server_name, S("m"));
    CHECK_STR(c.proxy, S("socks5://s"));
    CHECK_STR(c.as, S("y"));
    CHECK_STR(c.as_uid, S(""));                   /* another person altogether */
    CHECK_INT(c.nas_groups, 2);
    CHECK_INT(c.timeout_us, 5);
    CHECK(c.insecure);
    kube_config_free(&c);
    CHECK_OR(find(&c, &(struct kube_flags){ .kubeconfig = config }));
    CHECK_STR(c.proxy, S("http://env:1"));        /* where nobody names one */
    kube_config_free(&c);
    CHECK_OR(find(&c, &(struct kube_flags){ .kubeconfig = config, .server = S("https://127.0.0.1:7") }));
    CHECK_STR(c.proxy, S(""));                    /* the environment's is none for this one */
    kube_config_free(&c);
    CHECK_OR(find(&c, &(struct kube_flags){ .kubeconfig = str_of(put("proxied", CONFIG("{server: 'https://h:1', proxy-url: 'http://said:1'}", "{}"))), .server = S("https://127.0.0.1:7") }));
    CHECK_STR(c.proxy, S("http://said:1"));       /* that of the file is */
    kube_config_free(&c);
    CHECK_INT(kube_config_find(&c, &(struct kube_flags){ .kubeconfig = config, .user = S("nobody") }, &e), -1);
    CHECK_INT(e.code, KR_NOT_FOUND);
    unsetenv("KUBECONFIG");
    unsetenv("KUBERNETES_SERVICE_HOST");
    setenv("HOME", test_tmpdir(), 1);
    CHECK_OR(find(&c, &(struct kube_flags){ .server = S("http://127.0.0.1:8001") }));
    CHECK_STR(c.host, S("127.0.0.1"));            /* without any file */
    CHECK_STR(c.proxy, S(""));
    kube_config_free(&c);
}

/* The service account's place is the same everywhere: in a mount namespace of our own it is ours. */
static bool mount_account(void)
{
    static const char *const dirs[] = { "/var/run/secrets", "/var/run/secrets/kubernetes.io", "/var/run/secrets/kubernetes.io/serviceaccount" };
    struct kr_err e = { 0 };
    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || mount("none", "/var/run", "tmpfs", 0, NULL) < 0)
        return false;
    for (size_t i = 0; i < LEN(dirs); i++)
        CHECK_INT(fs_make_dir(dirs[i], 0700, &e), 0);
    CHECK_INT(fs_write("/var/run/secrets/kubernetes.io/serviceaccount/token", S("the pod's\n"), 0600, false, &e), 0);
    CHECK_INT(fs_write("/var/run/secrets/kubernetes.io/serviceaccount/ca.crt", S("the cluster's"), 0600, false, &e), 0);
    return true;
}

TEST(in_a_cluster_the_command_line_goes_before_the_service_account)
{
    struct kube_config c;
    if (!mount_account()) {
        printf("skip service account: no mount namespace may be made here\n");
        return;
    }
    unsetenv("KUBECONFIG");
    setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1", 1);
    setenv("KUBERNETES_SERVICE_PORT", "443", 1);
    CHECK_OR(find(&c, &(struct kube_flags){ 0 }));
    CHECK_STR(c.token, S("the pod's"));
    CHECK_STR(c.token_file, S("/var/run/secrets/kubernetes.io/serviceaccount/token"));
    kube_config_free(&c);
    CHECK_OR(find(&c, &(struct kube_flags){ .token = S("mine") }));
    CHECK_STR(c.token, S("mine"));
    CHECK_STR(c.token_file, S(""));
    CHECK_STR(c.ca, S("the cluster's"));
    kube_config_free(&c);
}

TEST(a_token_has_a_size)
{
    AUTO_BUF struct buf b = { .max = LIMIT_TOKEN + 1 };
    while (b.n <= LIMIT_TOKEN)
        buf_byte(&b, 't');
    put("token", b.p);
    refused(CONFIG(SERVER, "{tokenFile: token}"), S(""), KR_TOO_LARGE, "token");
}

TEST(in_a_cluster_without_its_files)
{
    static const char *const half[][2] = { { "", "1" }, { "10.0.0.1", "" }, { "10.0.0.1", NULL }, { NULL, "1" } };
    struct kube_config c;
    for (size_t i = 0; i < LEN(half); i++) {
        struct kr_err e = { 0 };
        unsetenv("KUBERNETES_SERVICE_HOST");
        unsetenv("KUBERNETES_SERVICE_PORT");
        if (half[i][0]) setenv("KUBERNETES_SERVICE_HOST", half[i][0], 1);
        if (half[i][1]) setenv("KUBERNETES_SERVICE_PORT", half[i][1], 1);
        CHECK(kube_config_in_cluster(&c, &e) < 0 && e.code == KR_NOT_FOUND && str_find(str_of(e.msg), S("no container of a cluster")) >= 0);
    }
    setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1", 1);
    setenv("KUBERNETES_SERVICE_PORT", "443", 1);
    if (!fs_exists("/var/run/secrets/kubernetes.io/serviceaccount/token")) {
        struct kr_err e = { 0 };
        CHECK(kube_config_in_cluster(&c, &e) < 0 && str_find(str_of(e.msg), S("the service account")) >= 0);
    }
}

TEST(lists_of_other_types_hold_nothing)
{
    refused("current-context: c\ncontexts: 5\n", S(""), KR_NOT_FOUND, "no context");
    refused("current-context: c\ncontexts: [{name: c, context: {cluster: k}}]\nclusters: {}\n", S(""), KR_NOT_FOUND, "no cluster");
    refused("current-context: c\ncontexts: [{name: c, context: {user: u}}]\nclusters: []\n", S(""), KR_INVALID, "the context \"c\" names no cluster");
    refused(CONFIG(SERVER, "{exec: {apiVersion: client.authentication.k8s.io/v1, command: aws, interactiveMode: Never, args: 5, env: 5}, client-certificate-data: '*'}"), S(""), KR_BAD_REQUEST, "");
    refused(CONFIG(SERVER, "{as: a, as-user-extra: 5, client-key-data: '*'}"), S(""), KR_BAD_REQUEST, "");
}
