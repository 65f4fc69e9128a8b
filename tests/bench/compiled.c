/* What the benchmark compiles: it needs no header, and never runs. */
typedef unsigned long u64;
typedef unsigned int u32;

struct entry {
    u64 key, value;
    struct entry *next;
};

struct table {
    struct entry *buckets[256];
    u32 count;
};

static u64 hash(u64 key)
{
    key ^= key >> 33;
    key *= 0xff51afd7ed558ccdul;
    key ^= key >> 33;
    key *= 0xc4ceb9fe1a85ec53ul;
    return key ^ key >> 33;
}

struct entry *table_find(struct table *table, u64 key)
{
    struct entry *entry = table->buckets[hash(key) & 255];

    while (entry && entry->key != key)
        entry = entry->next;
    return entry;
}

void table_put(struct table *table, struct entry *entry)
{
    u64 at = hash(entry->key) & 255;
    struct entry *old = table_find(table, entry->key);

    if (old) {
        old->value = entry->value;
        return;
    }
    entry->next = table->buckets[at];
    table->buckets[at] = entry;
    table->count++;
}

static void swap(u64 *a, u64 *b)
{
    u64 t = *a;

    *a = *b;
    *b = t;
}

void sort(u64 *values, long count)
{
    long left = 0, right = count - 1;
    u64 pivot;

    if (count < 2)
        return;
    pivot = values[count / 2];
    while (left <= right) {
        while (values[left] < pivot)
            left++;
        while (values[right] > pivot)
            right--;
        if (left <= right)
            swap(&values[left++], &values[right--]);
    }
    sort(values, right + 1);
    sort(values + left, count - left);
}

/* An expression of numbers, + - * / and parentheses. */
struct parser {
    const char *at;
    int failed;
};

static long parse_sum(struct parser *parser);

static long parse_number(struct parser *parser)
{
    long number = 0;

    if (*parser->at == '(') {
        parser->at++;
        number = parse_sum(parser);
        parser->failed |= *parser->at++ != ')';
        return number;
    }
    parser->failed |= *parser->at < '0' || *parser->at > '9';
    while (*parser->at >= '0' && *parser->at <= '9')
        number = number * 10 + *parser->at++ - '0';
    return number;
}

static long parse_product(struct parser *parser)
{
    long value = parse_number(parser);

    while (!parser->failed && (*parser->at == '*' || *parser->at == '/')) {
        char what = *parser->at++;
        long other = parse_number(parser);

        if (what == '*')
            value *= other;
        else if (other)
            value /= other;
        else
            parser->failed = 1;
    }
    return value;
}

static long parse_sum(struct parser *parser)
{
    long value = parse_product(parser);

    while (!parser->failed && (*parser->at == '+' || *parser->at == '-')) {
        if (*parser->at++ == '+')
            value += parse_product(parser);
        else
            value -= parse_product(parser);
    }
    return value;
}

long evaluate(const char *text, int *failed)
{
    struct parser parser = {text, 0};
    long value = parse_sum(&parser);

    *failed = parser.failed || *parser.at;
    return value;
}

void multiply(double *c, const double *a, const double *b, int n)
{
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            double sum = 0;

            for (int k = 0; k < n; k++)
                sum += a[i * n + k] * b[k * n + j];
            c[i * n + j] = sum;
        }
}

int state_machine(const char *text)
{
    enum { START, WORD, NUMBER, SPACE } state = START;
    int words = 0, numbers = 0;

    for (; *text; text++) {
        switch (state) {
        case START:
        case SPACE:
            if (*text >= '0' && *text <= '9')
                state = NUMBER, numbers++;
            else if (*text != ' ')
                state = WORD, words++;
            break;
        case WORD:
        case NUMBER:
            if (*text == ' ')
                state = SPACE;
            break;
        }
    }
    return words << 16 | numbers;
}
