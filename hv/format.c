#include "format.h"

/* One conversion: what stands between '%' and its letter, and where its text goes. */
struct conversion {
    format_put *put;
    void *context;
    bool left, zero, prefix;
    bool limited; /* a precision was given */
    bool wide;    /* the argument has 64 bits */
    size_t width, precision;
};

#define NUMBER_MAX 20 /* digits of 2^64 - 1 in base 10 */

static void fill(const struct conversion *conv, char c, size_t count)
{
    while (count--)
        conv->put(conv->context, c);
}

static void put_text(const struct conversion *conv, const char *text, size_t len)
{
    size_t pad = conv->width > len ? conv->width - len : 0;

    if (!conv->left)
        fill(conv, ' ', pad);
    for (size_t i = 0; i < len; i++)
        conv->put(conv->context, text[i]);
    if (conv->left)
        fill(conv, ' ', pad);
}

static void put_string(const struct conversion *conv, const char *text)
{
    size_t len = 0;

    if (!text)
        text = "(null)";
    while (!(conv->limited && len == conv->precision) && text[len])
        len++;
    put_text(conv, text, len);
}

/* Zero fill stands between sign or prefix and the digits, so the field is put together here. */
static void put_number(const struct conversion *conv, u64 value, u32 base, bool upper,
                       const char *sign)
{
    const char *alphabet = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    char digits[NUMBER_MAX];
    size_t first = NUMBER_MAX, sign_len = 0, len, pad;

    do {
        digits[--first] = alphabet[value % base];
        value /= base;
    } while (value);
    while (sign[sign_len])
        sign_len++;
    len = NUMBER_MAX - first + sign_len;
    pad = conv->width > len ? conv->width - len : 0;

    if (!conv->left && !conv->zero)
        fill(conv, ' ', pad);
    while (*sign)
        conv->put(conv->context, *sign++);
    if (!conv->left && conv->zero)
        fill(conv, '0', pad);
    while (first < NUMBER_MAX)
        conv->put(conv->context, digits[first++]);
    if (conv->left)
        fill(conv, ' ', pad);
}

static void put_signed(const struct conversion *conv, s64 value)
{
    /* Negated as unsigned, which the least s64 survives. */
    put_number(conv, value < 0 ? 0 - (u64)value : (u64)value, 10, false, value < 0 ? "-" : "");
}

static void put_hex(const struct conversion *conv, u64 value, bool upper)
{
    put_number(conv, value, 16, upper, conv->prefix && value ? (upper ? "0X" : "0x") : "");
}

static const char *parse_flags(struct conversion *conv, const char *at)
{
    for (;; at++) {
        switch (*at) {
        case '-': conv->left = true; break;
        case '0': conv->zero = true; break;
        case '#': conv->prefix = true; break;
        default: return at;
        }
    }
}

static const char *parse_digits(size_t *number, const char *at)
{
    while (*at >= '0' && *at <= '9')
        *number = *number * 10 + (size_t)(*at++ - '0');
    return at;
}

static const char *parse_length(struct conversion *conv, const char *at)
{
    for (;; at++) {
        if (*at == 'l' || *at == 'z')
            conv->wide = true;
        else if (*at != 'h') /* narrower arguments are promoted to int */
            return at;
    }
}

/* A va_list inside a structure can be handed on by address on every ABI. */
struct arguments {
    va_list list;
};

static const char *parse_width(struct conversion *conv, const char *at, struct arguments *args)
{
    int width;

    if (*at != '*')
        return parse_digits(&conv->width, at);
    width = va_arg(args->list, int);
    if (width < 0)
        conv->left = true;
    conv->width = width < 0 ? 0 - (size_t)width : (size_t)width;
    return at + 1;
}

static const char *parse_precision(struct conversion *conv, const char *at, struct arguments *args)
{
    int precision;

    if (*at != '.')
        return at;
    at++;
    conv->limited = true;
    if (*at != '*')
        return parse_digits(&conv->precision, at);
    precision = va_arg(args->list, int);
    conv->limited = precision >= 0;
    conv->precision = precision < 0 ? 0 : (size_t)precision;
    return at + 1;
}

static u64 unsigned_argument(const struct conversion *conv, struct arguments *args)
{
    return conv->wide ? va_arg(args->list, u64) : va_arg(args->list, u32);
}

static s64 signed_argument(const struct conversion *conv, struct arguments *args)
{
    return conv->wide ? va_arg(args->list, s64) : va_arg(args->list, s32);
}

/* True if the letter is a conversion, which then is done. */
static bool convert(struct conversion *conv, char letter, struct arguments *args)
{
    char c;

    switch (letter) {
    case 'd':
    case 'i': put_signed(conv, signed_argument(conv, args)); return true;
    case 'u': put_number(conv, unsigned_argument(conv, args), 10, false, ""); return true;
    case 'x':
    case 'X': put_hex(conv, unsigned_argument(conv, args), letter == 'X'); return true;
    case 'p':
        conv->wide = conv->prefix = true;
        put_hex(conv, unsigned_argument(conv, args), false);
        return true;
    case 's': put_string(conv, va_arg(args->list, const char *)); return true;
    case 'c':
        c = (char)va_arg(args->list, int);
        put_text(conv, &c, 1);
        return true;
    case '%': conv->put(conv->context, '%'); return true;
    default: return false;
    }
}

void format_to(format_put *put, void *context, const char *format, va_list list)
{
    struct arguments args;

    va_copy(args.list, list);
    while (*format) {
        struct conversion conv = {.put = put, .context = context};
        const char *at;

        if (*format != '%') {
            put(context, *format++);
            continue;
        }
        at = parse_flags(&conv, format + 1);
        at = parse_width(&conv, at, &args);
        at = parse_precision(&conv, at, &args);
        at = parse_length(&conv, at);
        if (convert(&conv, *at, &args))
            format = at + 1;
        else
            put(context, *format++);
    }
    va_end(args.list);
}

struct string_target {
    char *to;
    size_t size, len;
};

static void string_put(void *context, char c)
{
    struct string_target *target = context;

    if (target->len + 1 < target->size)
        target->to[target->len] = c;
    target->len++;
}

size_t format_string_v(char *to, size_t size, const char *format, va_list args)
{
    struct string_target target = {to, size, 0};

    format_to(string_put, &target, format, args);
    if (size)
        to[target.len < size ? target.len : size - 1] = 0;
    return target.len;
}

size_t format_string(char *to, size_t size, const char *format, ...)
{
    va_list args;
    size_t len;

    va_start(args, format);
    len = format_string_v(to, size, format, args);
    va_end(args);
    return len;
}
