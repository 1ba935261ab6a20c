/* SPDX-License-Identifier: Apache-2.0 */
#include "core/fs.h"
#include "k8s/kubeconfig.h"
#include "tests/kit/test.h"
#include <stdio.h>

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
    if (!CHECK(str_find(str_of(e.msg), str_of(word)) >= 0))
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
    refused(CONFIG(SERVER, "{exec: {command: aws}}"), S(""), KR_UNSUPPORTED, "\"exec\" is not offered");
    refused(CONFIG(SERVER, "{auth-provider: {name: gcp}}"), S(""), KR_UNSUPPORTED, "\"auth-provider\"");
    refused(CONFIG(SERVER, "{username: a, password: b}"), S(""), KR_UNSUPPORTED, "\"username\"");
    refused(CONFIG(SERVER, "{token: t, as: root}"), S(""), KR_UNSUPPORTED, "\"as\"");
    refused(CONFIG("{server: 'https://h:1', proxy-url: 'http://p'}", "{}"), S(""), KR_UNSUPPORTED, "proxy-url");
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
    CHECK_INT(kube_config_find(&c, S(""), S(""), &e), -1);
    CHECK_INT(e.code, KR_NOT_FOUND);
    CHECK(str_find(str_of(e.msg), S(".kube/config")) >= 0);
    CHECK_INT(fs_make_dir(home, 0700, &e), 0);
    put(".kube/config", CONFIG("{server: 'http://home:1'}", "{}"));
    CHECK_OR(kube_config_find(&c, S(""), S(""), &e) == 0);
    CHECK_STR(c.host, S("home"));
    CHECK(!c.tls);
    kube_config_free(&c);
    setenv("KUBECONFIG", put("env", CONFIG("{server: 'http://env:1'}", "{}")), 1);
    CHECK_OR(kube_config_find(&c, S(""), S(""), &e) == 0);
    CHECK_STR(c.host, S("env"));
    kube_config_free(&c);
    CHECK_OR(kube_config_find(&c, str_of(put("given", CONFIG("{server: 'http://given:1'}", "{}"))), S(""), &e) == 0);
    CHECK_STR(c.host, S("given"));
    kube_config_free(&c);
}
