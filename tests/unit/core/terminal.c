/* SPDX-License-Identifier: Apache-2.0 */
#include "core/terminal.h"
#include "tests/kit/test.h"

TEST(escapes_are_shown_and_colours_pass_however_the_bytes_are_cut)
{
    static const struct { struct str in, out; } rows[] = {
        { S("plain \xc3\xa4 text\n\ttab\r"), S("plain \xc3\xa4 text\n\ttab\r") },
        { S("\033[1;31mred\033[0m"), S("\033[1;31mred\033[0m") },
        { S("\033[2Jx"), S("^[[2Jx") },
        { S("\033]0;title\007x"), S("^[]0;title^Gx") },
        { S("\033]52;c;ZXZpbA==\007"), S("^[]52;c;ZXZpbA==^G") },
        { S("a\033[31\033[0mb"), S("a^[[31\033[0mb") },
        { S("\033\033\033[m"), S("^[^[\033[m") },
        { S("\xc2\x9b" "2J"), S("\\x9b2J") },
        { S("\xc2\xa9"), S("\xc2\xa9") },
        { S("back\b\x7f\0e"), S("back^H^?^@e") },
        { S("\033[1;2;3;4;5;6;7;8;9;0;1;2;3;4;5;6;7mx"), S("^[[1;2;3;4;5;6;7;8;9;0;1;2;3;4;5;6;7mx") },
        { S("\033["), S("^[[") },
    };
    for (size_t i = 0; i < LEN(rows); i++)
        for (size_t cut = 0; cut <= rows[i].in.n; cut++) {
            struct terminal t = { .n = 0 };
            AUTO_BUF struct buf b = { .max = 4096 };
            terminal_put(&t, (struct str){ rows[i].in.p, cut }, &b);
            terminal_put(&t, str_from(rows[i].in, cut), &b);
            terminal_end(&t, &b);
            CHECK_STR(buf_view(&b), rows[i].out);
        }
}
