/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base64.h"
#include "tests/kit/test.h"

TEST(base64_vectors_of_rfc_4648)
{
    static const struct { struct str bytes; const char *std, *url; } rows[] = {
        { S(""), "", "" }, { S("f"), "Zg==", "Zg" }, { S("fo"), "Zm8=", "Zm8" }, { S("foo"), "Zm9v", "Zm9v" },
        { S("foob"), "Zm9vYg==", "Zm9vYg" }, { S("fooba"), "Zm9vYmE=", "Zm9vYmE" }, { S("foobar"), "Zm9vYmFy", "Zm9vYmFy" },
        { S("\xFB\xFF\xFE\0"), "+//+AA==", "-__-AA" },
    };
    for (size_t i = 0; i < LEN(rows); i++)
        for (int url = 0; url < 2; url++) {
            AUTO_ARENA struct arena a = { .limit = 4096 };
            AUTO_BUF struct buf b = { .max = 64 };
            struct kr_err e = { 0 };
            struct str text = str_of(url ? rows[i].url : rows[i].std), back;
            CHECK_STR(base64_encode(&a, url ? BASE64_URL : BASE64_STD, rows[i].bytes), text);
            base64_put(&b, url ? BASE64_URL : BASE64_STD, rows[i].bytes);
            CHECK_STR(buf_view(&b), text);
            CHECK_OR(base64_decode(&a, url ? BASE64_URL : BASE64_STD, text, &back, &e) == 0);
            CHECK_STR(back, rows[i].bytes);
        }
}

TEST(base64_refuses_what_is_not_the_one_text)
{
    static const struct { const char *text; enum base64_kind kind; } bad[] = {
        { "Zg", BASE64_STD }, { "Zg=", BASE64_STD }, { "Zh==", BASE64_STD }, { "Zm9=", BASE64_STD }, { "Z===", BASE64_STD }, { "====", BASE64_STD },
        { "Zm 9", BASE64_STD }, { "Zm9v\n", BASE64_STD }, { "-__-", BASE64_STD }, { "Zg==Zg==", BASE64_STD }, { "Zg==", BASE64_URL },
        { "Z", BASE64_URL }, { "Zh", BASE64_URL }, { "+//+", BASE64_URL }, { "Zm9v\xC3\xA9\xC3\xA9", BASE64_STD },
    };
    for (size_t i = 0; i < LEN(bad); i++) {
        AUTO_ARENA struct arena a = { .limit = 4096 };
        struct kr_err e = { 0 };
        struct str out = S("untouched");
        if (!CHECK_INT(base64_decode(&a, bad[i].kind, str_of(bad[i].text), &out, &e), -1)) CHECK_Z(bad[i].text, "refused");
        CHECK_STR(out, S("untouched"));
    }
}
