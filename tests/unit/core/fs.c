/* SPDX-License-Identifier: Apache-2.0 */
#include "core/fs.h"
#include "tests/kit/test.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

TEST(a_file_is_written_whole_and_read_with_a_limit)
{
    struct kr_err e = { 0 };
    char path[300];
    snprintf(path, sizeof path, "%s/a", test_tmpdir());
    CHECK_INT(fs_write(path, S("hello"), 0600, true, &e), 0);
    struct stat st;
    CHECK_INT(stat(path, &st), 0);
    CHECK_INT(st.st_mode & 0777, 0600);
    AUTO_BUF struct buf b = { .max = 5 };
    CHECK_INT(fs_read(path, &b, &e), 0);
    CHECK_STR(buf_view(&b), S("hello"));
    AUTO_BUF struct buf small = { .max = 4 };
    CHECK_INT(fs_read(path, &small, &e), -1);
    CHECK_INT(e.code, KR_TOO_LARGE);
    CHECK_INT(small.n, 0);
    CHECK_INT(fs_read("/nowhere/at/all", &small, &e), -1);
}

TEST(files_below_a_base_never_leave_it)
{
    struct kr_err e = { 0 };
    const char *dir = test_tmpdir();
    AUTO_CLOSE int base = open(dir, O_RDONLY | O_DIRECTORY);
    CHECK_INT(fs_write_at(base, S("a/b/c.txt"), S("x"), 0644, &e), 0);
    static const char *const bad[] = { "", "/etc/x", "../x", "a/../x", "a//x", "./x", "a/b/", "a/b/c.txt", "a/b", "a/b/c.txt/d" };
    for (size_t i = 0; i < LEN(bad); i++) {
        e = (struct kr_err){ 0 };
        CHECK_INT(fs_write_at(base, str_of(bad[i]), S("x"), 0644, &e), -1);
        CHECK_INT(e.code, KR_INVALID);
    }
    CHECK_INT(symlinkat("/tmp", base, "link"), 0);
    CHECK_INT(fs_write_at(base, S("link/x"), S("x"), 0644, &e), -1);
    CHECK_INT(symlinkat("/tmp/kr-not-made", base, "file"), 0);
    CHECK_INT(fs_write_at(base, S("file"), S("x"), 0644, &e), -1);
    CHECK(!fs_exists("/tmp/kr-not-made"));
}

TEST(a_file_below_a_base_is_removed_and_nothing_else)
{
    const char *dir = test_tmpdir();
    struct kr_err e = { 0 };
    int base = open(dir, O_RDONLY | O_DIRECTORY);
    CHECK_OR(fs_write_at(base, S("a/b/c"), S("x"), 0644, &e) == 0 && fs_write_at(base, S("d"), S("x"), 0644, &e) == 0);
    CHECK(symlinkat("a", base, "link") == 0);
    fs_unlink_at(base, S("link/b/c"));            /* not through a symlink */
    fs_unlink_at(base, S("../d"));
    fs_unlink_at(base, S("a/b"));                 /* a folder stays */
    fs_unlink_at(base, S("/d"));
    fs_unlink_at(base, S("absent"));
    CHECK(faccessat(base, "a/b/c", F_OK, 0) == 0 && faccessat(base, "d", F_OK, 0) == 0);
    fs_unlink_at(base, S("a/b/c"));
    fs_unlink_at(base, S("d"));
    CHECK(faccessat(base, "a/b/c", F_OK, 0) < 0 && faccessat(base, "d", F_OK, 0) < 0);
    close(base);
}

TEST(a_tree_is_removed_without_following_symlinks)
{
    struct kr_err e = { 0 };
    char keep[300], tree[300], link[320], closed[320];
    snprintf(keep, sizeof keep, "%s/keep", test_tmpdir());
    snprintf(tree, sizeof tree, "%s/tree", test_tmpdir());
    CHECK_INT(fs_make_dir(keep, 0700, &e), 0);
    snprintf(closed, sizeof closed, "%s/x/closed", tree);
    CHECK_INT(fs_make_dir(closed, 0700, &e), 0);
    snprintf(link, sizeof link, "%s/x/closed/link", tree);
    CHECK_INT(symlink(keep, link), 0);
    CHECK_INT(chmod(closed, 0), 0);
    CHECK_INT(fs_remove_tree(tree, &e), 0);
    CHECK(!fs_exists(tree));
    CHECK(fs_exists(keep));
    CHECK_INT(fs_remove_tree(tree, &e), 0);
}

TEST(a_tree_of_any_depth_is_removed)
{
    struct kr_err e = { 0 };
    AUTO_CLOSE int fd = open(test_tmpdir(), O_RDONLY | O_DIRECTORY);
    struct rlimit few = { 64, 64 };
    char tree[300], taken[320];
    snprintf(tree, sizeof tree, "%s/d", test_tmpdir());
    for (int i = 0; i < 3000; i++) {                       /* deeper than a path can say */
        CHECK_OR(mkdirat(fd, "d", 0700) == 0);
        int below = openat(fd, "d", O_RDONLY | O_DIRECTORY);
        CHECK_OR(i % 40 || mkdirat(below, "other", 0500) == 0);
        close(fd);
        fd = below;
    }
    for (int i = 0; i < 3; i++) {                          /* names at the top that are taken: by a folder that isn't empty, and by a file */
        snprintf(taken, sizeof taken, "%s/.%d%s", tree, i, i == 1 ? "" : "/x");
        CHECK_OR((i == 1 ? fs_write(taken, S("x"), 0600, false, &e) : fs_make_dir(taken, 0700, &e)) == 0);
    }
    CHECK_OR(setrlimit(RLIMIT_NOFILE, &few) == 0);
    CHECK_INT(fs_remove_tree(tree, &e), 0);
    CHECK(!fs_exists(tree));
}

TEST(a_tree_is_removed_in_parts)
{
    struct kr_err e = { 0 };
    AUTO_CLOSE int fd = open(test_tmpdir(), O_RDONLY | O_DIRECTORY);
    for (int i = 0; i < 9; i++) {
        char name[32];
        snprintf(name, sizeof name, "tree/f%d", i);
        CHECK_OR(fs_write_at(fd, str_of(name), S("x"), 0600, &e) == 0);
    }
    CHECK_INT(fs_remove_some_at(fd, "tree", 5, &e), 1);    /* the folder, and four files */
    CHECK_INT(fs_remove_some_at(fd, "tree", 5, &e), 1);
    CHECK_INT(fs_remove_some_at(fd, "tree", 5, &e), 0);
    CHECK_INT(fs_remove_some_at(fd, "tree", 1, &e), 0);
}

TEST(what_cannot_be_read_or_written_is_named)
{
    struct kr_err e = { 0 };
    AUTO_BUF struct buf b = { .max = 100 }, far = { .max = 8192 };
    char path[300], below[320];
    CHECK(fs_read(test_tmpdir(), &b, &e) < 0 && str_find(str_of(e.msg), str_of(test_tmpdir())) >= 0);
    snprintf(path, sizeof path, "%s/file", test_tmpdir());
    snprintf(below, sizeof below, "%s/below", path);
    CHECK_OR(fs_write(path, S("x"), 0600, false, &e) == 0);
    CHECK(fs_write(below, S("x"), 0600, true, &e) < 0 && str_find(str_of(e.msg), str_of(path)) >= 0);
    CHECK(fs_make_dir(path, 0700, &e) < 0 && fs_make_dir(below, 0700, &e) < 0 && fs_make_dir("", 0700, &e) < 0);
    CHECK(fs_write(test_tmpdir(), S("x"), 0600, false, &e) < 0);                    /* a folder is not replaced */
    while (far.n < 5000)
        buf_lit(&far, "/long");
    buf_byte(&far, 0);
    CHECK(fs_write(far.p, S("x"), 0600, true, &e) < 0 && fs_make_dir(far.p, 0700, &e) < 0 && fs_read(far.p, &b, &e) < 0);
    CHECK(fs_write_fd(-1, S("x"), "nothing", &e) < 0 && str_find(str_of(e.msg), S("nothing")) >= 0);
    CHECK_INT(fs_remove_tree(below, &e), -1);
}

TEST(what_is_no_file_is_not_replaced_by_one)
{
    struct kr_err e = { 0 };
    char path[300], link[300];
    struct stat st;
    snprintf(path, sizeof path, "%s/pipe", test_tmpdir());
    snprintf(link, sizeof link, "%s/link", test_tmpdir());
    CHECK_INT(mkfifo(path, 0600), 0);
    CHECK_INT(symlink("/dev/null", link), 0);
    CHECK_INT(fs_write(path, S("x"), 0600, false, &e), -1);
    CHECK(e.code == KR_INVALID && stat(path, &st) == 0 && S_ISFIFO(st.st_mode));
    e = (struct kr_err){ 0 };
    CHECK_INT(fs_write(link, S("x"), 0600, false, &e), -1);
    CHECK(e.code == KR_INVALID && lstat(link, &st) == 0 && S_ISLNK(st.st_mode));
}

TEST(folders_below_a_base_have_plain_names)
{
    struct kr_err e = { 0 };
    AUTO_CLOSE int base = open(test_tmpdir(), O_RDONLY | O_DIRECTORY);
    AUTO_CLOSE int made = fs_open_dir_at(base, S("a/b"), 0700, &e);
    CHECK(made >= 0 && fs_write_at(base, S("a/file"), S("x"), 0600, &e) == 0 && symlinkat("b", made, "link") == 0);
    static const struct str bad[] = { S("/"), S("/a"), S("a/"), S("."), S("a/.."), S("a//b"), S("a/file"), S("a/file/c"), S("a/b/link"), S("a\0b") };
    for (size_t i = 0; i < LEN(bad); i++)
        if (!CHECK(fs_open_dir_at(base, bad[i], 0700, &e) < 0))
            printf("    %.*s\n", SFMT(bad[i]));
    CHECK(fs_open_dir_at(-1, S("a"), 0700, &e) < 0 && fs_write_at(-1, S("a"), S("x"), 0600, &e) < 0);
    AUTO_ARENA struct arena a = { .limit = 4096 };
    CHECK_Z(fs_join(&a, "a/", "b"), "a/b");
    CHECK_Z(fs_join(&a, "a", "b"), "a/b");
    CHECK_Z(fs_join(&a, "", "b"), "/b");
}
