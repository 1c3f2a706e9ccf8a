/* The Mahalanobis distance of a bin's counts from normal bins: x = log1p(calls per syscall, over
 * all programs), m = mean(x), value = (x-m)' C^-1 (x-m).
 *
 * C is the covariance S of the learnt bins shrunk towards mu I (Ledoit and Wolf, "A
 * well-conditioned estimator for large-dimensional covariance matrices", 2004), mu = tr(S)/d, plus
 * a floor as of a standard deviation of .05: C = (1-a) S + a mu I + .0025 I. A syscall never learnt
 * has mean 0 and variance mu + .0025.
 *
 * z = C^-1/2 (x-m) with the symmetric root, so value = sum of z_i^2 and z_i^2 is the part of count
 * i (Garthwaite and Koch, "Evaluating the contributions of individual variables to a quadratic
 * form", 2016): the evidence.
 *
 * What is kept are sums, which add up; Ledoit and Wolf's sum of |x-m|^4 expands into them:
 * q = |x|^2, sum |x-m|^4 = sum q^2 + 4 m'(sum xx')m + n|m|^4 - 4 m'(sum qx) + 2|m|^2 sum q
 *                          - 4|m|^2 m'(sum x). */
#include <cblas.h>
#include <errno.h>
#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "detect/detector.h"

#define SYSCALLS_MAX 256 /* that a model tells apart: 1.1 MiB at most */
#define VARIANCE_FLOOR .0025
#define ABSENT UINT16_MAX

struct sums {
    double n, q, q2; /* bins; sum of |x|^2, of |x|^4 */
    double *x, *qx;  /* [d] */
    double *xx;      /* [d (d + 1) / 2] lower triangle by rows: a new syscall is a new row */
};

/* What scoring needs, worked out of the sums by prepare(). */
struct fit {
    double n;            /* bins when it was made, 0 never */
    double new_variance; /* of a syscall that is not in it */
    uint32_t d;
    double *mean; /* [d] */
    double *root; /* [d x d] C^-1/2 */
};

struct mahalanobis {
    uint32_t d, capacity;
    uint16_t *sysno;             /* [d] in the order they were met */
    uint16_t place[SYSNO_COUNT]; /* sysno -> index, ABSENT */
    struct sums sums;
    struct fit fit;
};

static size_t triangle(size_t row)
{
    return row * (row + 1) / 2;
}

static void fit_done(struct fit *f)
{
    free(f->mean);
    free(f->root);
    *f = (struct fit){0};
}

static void destroy(void *model)
{
    struct mahalanobis *m = model;
    free(m->sysno);
    free(m->sums.x);
    free(m->sums.qx);
    free(m->sums.xx);
    fit_done(&m->fit);
    free(m);
}

DEFINE_CLEANUP(destroy, void *)

static int create(void **ret)
{
    struct mahalanobis *m = calloc(1, sizeof(*m));
    if (!m)
        return -ENOMEM;
    memset(m->place, 0xff, sizeof(m->place));
    *ret = m;
    return 0;
}

/* ---- learning -------------------------------------------------------------------------------- */

static int grow_array(double **array, size_t n_old, size_t n)
{
    double *more = realloc(*array, n * sizeof(*more));
    if (!more)
        return -ENOMEM;
    memset(more + n_old, 0, (n - n_old) * sizeof(*more));
    *array = more;
    return 0;
}

/* Gives the syscall an index; its sums so far are zeros. -ENOSPC at the cap. */
static int syscall_add(struct mahalanobis *m, uint16_t sysno)
{
    if (m->place[sysno] != ABSENT)
        return 0;
    if (m->d == SYSCALLS_MAX)
        return -ENOSPC;
    if (m->d == m->capacity) {
        uint32_t capacity = m->capacity ? 2 * m->capacity : 16;
        uint16_t *more = realloc(m->sysno, capacity * sizeof(*more));
        if (!more)
            return -ENOMEM;
        m->sysno = more;
        if (grow_array(&m->sums.x, m->capacity, capacity) < 0 ||
            grow_array(&m->sums.qx, m->capacity, capacity) < 0 ||
            grow_array(&m->sums.xx, triangle(m->capacity), triangle(capacity)) < 0)
            return -ENOMEM;
        m->capacity = capacity;
    }
    m->sysno[m->d] = sysno;
    m->place[sysno] = (uint16_t)m->d++;
    return 0;
}

/* Calls per syscall over all programs: sparse, in the order of the bin. */
struct counts {
    uint32_t n;
    uint16_t sysno[SYSNO_COUNT];
    double calls[SYSNO_COUNT];
};

static _Thread_local uint16_t counts_place[SYSNO_COUNT]; /* 1 + index, all 0 between calls */

static void counts_of(const struct bin *b, struct counts *ret)
{
    ret->n = 0;
    for (uint32_t i = 0; i < b->n_counts; i++) {
        uint16_t sysno = b->counts[i].sysno % SYSNO_COUNT;
        if (!counts_place[sysno]) {
            ret->sysno[ret->n] = sysno;
            ret->calls[ret->n] = 0;
            counts_place[sysno] = (uint16_t)++ret->n;
        }
        ret->calls[counts_place[sysno] - 1] += b->counts[i].calls;
    }
    for (uint32_t i = 0; i < ret->n; i++)
        counts_place[ret->sysno[i]] = 0;
}

static int learn(void *model, const struct sample *s, uint32_t weight)
{
    struct mahalanobis *m = model;
    if (s->kind != SAMPLE_BIN || weight == 0)
        return 0;
    static _Thread_local struct counts c;
    counts_of(s->bin, &c);
    int err = 0;
    uint32_t n = 0;
    double q = 0, w = weight;
    for (uint32_t i = 0; i < c.n; i++) {
        int e = syscall_add(m, c.sysno[i]);
        err = err ? err : e;
        if (e < 0)
            continue;
        c.sysno[n] = m->place[c.sysno[i]]; /* from here on an index */
        c.calls[n] = log1p(c.calls[i]);
        q += c.calls[n] * c.calls[n];
        n++;
    }
    for (uint32_t i = 0; i < n; i++) {
        m->sums.x[c.sysno[i]] += w * c.calls[i];
        m->sums.qx[c.sysno[i]] += w * q * c.calls[i];
        for (uint32_t j = 0; j < n; j++) {
            if (c.sysno[j] <= c.sysno[i])
                m->sums.xx[triangle(c.sysno[i]) + c.sysno[j]] += w * c.calls[i] * c.calls[j];
        }
    }
    m->sums.n += w;
    m->sums.q += w * q;
    m->sums.q2 += w * q * q;
    return err;
}

static int merge(void *model, const void *other)
{
    struct mahalanobis *m = model;
    const struct mahalanobis *o = other;
    int err = 0;
    for (uint32_t i = 0; i < o->d; i++) {
        int e = syscall_add(m, o->sysno[i]);
        err = err ? err : e;
    }
    for (uint32_t i = 0; i < o->d; i++) {
        uint16_t a = m->place[o->sysno[i]];
        if (a == ABSENT)
            continue;
        m->sums.x[a] += o->sums.x[i];
        m->sums.qx[a] += o->sums.qx[i];
        for (uint32_t j = 0; j <= i; j++) {
            uint16_t b = m->place[o->sysno[j]];
            if (b != ABSENT)
                m->sums.xx[triangle(MAX(a, b)) + MIN(a, b)] += o->sums.xx[triangle(i) + j];
        }
    }
    m->sums.n += o->sums.n;
    m->sums.q += o->sums.q;
    m->sums.q2 += o->sums.q2;
    return err;
}

/* ---- the fit --------------------------------------------------------------------------------- */

/* S into ret [d x d] and the share a of the target that Ledoit and Wolf's estimate gives it. */
static double covariance(const struct mahalanobis *m, const double *mean, double *ret)
{
    const struct sums *s = &m->sums;
    size_t d = m->d;
    double mm = 0, mqx = 0, mx = 0, mxxm = 0, norm = 0, trace = 0;
    for (size_t i = 0; i < d; i++) {
        mm += mean[i] * mean[i];
        mqx += mean[i] * s->qx[i];
        mx += mean[i] * s->x[i];
        for (size_t j = 0; j <= i; j++) {
            double both = s->xx[triangle(i) + j], v = both / s->n - mean[i] * mean[j];
            v = i == j ? MAX(v, 0) : v; /* rounding */
            ret[i * d + j] = ret[j * d + i] = v;
            mxxm += (i == j ? 1 : 2) * mean[i] * mean[j] * both;
            norm += (i == j ? 1 : 2) * v * v;
        }
        trace += ret[i * d + i];
    }
    double mu = trace / (double)d;
    double delta = norm - (double)d * mu * mu; /* |S - mu I|^2 */
    double fourth = s->q2 + 4 * mxxm + s->n * mm * mm - 4 * mqx + 2 * mm * s->q - 4 * mm * mx;
    double beta = (fourth / s->n - norm) / s->n;
    return delta > 0 ? MIN(MAX(beta / delta, 0), 1) : 1;
}

/* C^-1/2 in place of C [d x d]. */
static int inverse_root(double *c, size_t d)
{
    CLEANUP(freep) double *value = malloc(d * sizeof(*value));
    CLEANUP(freep) double *vector = malloc(d * d * sizeof(*vector));
    if (!value || !vector)
        return -ENOMEM;
    memcpy(vector, c, d * d * sizeof(*vector));
    lapack_int n = (lapack_int)d;
    lapack_int info = LAPACKE_dsyevd(LAPACK_ROW_MAJOR, 'V', 'L', n, vector, n, value);
    if (info != 0)
        return info == LAPACK_WORK_MEMORY_ERROR ? -ENOMEM : -EDOM;
    memset(c, 0, d * d * sizeof(*c));
    for (size_t k = 0; k < d; k++) {
        double scale = 1 / sqrt(MAX(value[k], VARIANCE_FLOOR));
        for (size_t i = 0; i < d; i++) {
            for (size_t j = 0; j < d; j++)
                c[i * d + j] += scale * vector[i * d + k] * vector[j * d + k];
        }
    }
    return 0;
}

static void fit_donep(struct fit *f)
{
    fit_done(f);
}

static int prepare(void *model)
{
    struct mahalanobis *m = model;
    size_t d = m->d;
    if (m->sums.n == 0 || d == 0 || (m->fit.n == m->sums.n && m->fit.d == d))
        return 0;
    CLEANUP(fit_donep) struct fit fit = {.n = m->sums.n, .d = m->d};
    fit.mean = malloc(d * sizeof(*fit.mean));
    fit.root = malloc(d * d * sizeof(*fit.root));
    if (!fit.mean || !fit.root)
        return -ENOMEM;
    double trace = 0;
    for (size_t i = 0; i < d; i++)
        fit.mean[i] = m->sums.x[i] / m->sums.n;
    double a = covariance(m, fit.mean, fit.root);
    for (size_t i = 0; i < d; i++)
        trace += fit.root[i * d + i];
    double mu = trace / (double)d;
    fit.new_variance = mu + VARIANCE_FLOOR;
    for (size_t i = 0; i < d * d; i++)
        fit.root[i] *= 1 - a;
    for (size_t i = 0; i < d; i++)
        fit.root[i * d + i] += a * mu + VARIANCE_FLOOR;
    int err = inverse_root(fit.root, d);
    if (err < 0)
        return err;
    fit_done(&m->fit);
    m->fit = fit;
    fit = (struct fit){0};
    return 0;
}

/* The fit is made again when the bins have grown by a tenth, so that learning stays cheap. */
static int learn_and_refit(void *model, const struct sample *s, uint32_t weight)
{
    struct mahalanobis *m = model;
    int err = learn(model, s, weight);
    if (m->sums.n >= m->fit.n * 1.1 + 4) {
        int e = prepare(model);
        err = err ? err : e;
    }
    return err;
}

/* ---- scoring --------------------------------------------------------------------------------- */

static int by_strangeness(const void *a, const void *b)
{
    const struct evidence *x = a, *y = b;
    return (x->strangeness < y->strangeness) - (x->strangeness > y->strangeness);
}

/* Keeps the strangest EVIDENCE_MAX items; the weakest is replaced. */
static void add_item(struct score *ret, struct evidence e)
{
    ret->value += e.strangeness;
    if (ret->n < EVIDENCE_MAX) {
        ret->items[ret->n++] = e;
        return;
    }
    uint32_t least = 0;
    for (uint32_t i = 1; i < ret->n; i++)
        least = ret->items[i].strangeness < ret->items[least].strangeness ? i : least;
    if (ret->items[least].strangeness < e.strangeness)
        ret->items[least] = e;
}

static struct evidence item(uint16_t sysno, double calls, double mean, double strangeness)
{
    return (struct evidence){
        .key = hash_mix(hash_mix(EVIDENCE_RATE, sysno), calls > expm1(mean)),
        .strangeness = strangeness,
        .detail = (uint64_t)calls,
        .kind = EVIDENCE_RATE,
        .sysno = sysno,
        .normal = (float)expm1(mean),
    };
}

static void score(const void *model, const struct sample *s, struct score *ret)
{
    const struct mahalanobis *m = model;
    const struct fit *f = &m->fit;
    ret->value = 0, ret->per = 1, ret->n = 0;
    if (s->kind != SAMPLE_BIN || f->n == 0)
        return;
    static _Thread_local struct counts c;
    double y[SYSCALLS_MAX], calls[SYSCALLS_MAX] = {0};
    counts_of(s->bin, &c);
    for (uint32_t i = 0; i < f->d; i++)
        y[i] = -f->mean[i];
    for (uint32_t i = 0; i < c.n; i++) {
        double x = log1p(c.calls[i]);
        uint16_t at = m->place[c.sysno[i]];
        if (at < f->d) {
            y[at] += x;
            calls[at] = c.calls[i];
        } else if (x > 0) {
            add_item(ret, item(c.sysno[i], c.calls[i], 0, x * x / f->new_variance));
        }
    }
    for (uint32_t i = 0; i < f->d; i++) {
        double z = cblas_ddot((int)f->d, f->root + (size_t)i * f->d, 1, y, 1);
        if (z != 0)
            add_item(ret, item(m->sysno[i], calls[i], f->mean[i], z * z));
    }
    qsort(ret->items, ret->n, sizeof(*ret->items), by_strangeness);
}

/* ---- bytes ----------------------------------------------------------------------------------- */

static int sysno_compare(const void *a, const void *b)
{
    return *(const uint16_t *)a - *(const uint16_t *)b;
}

/* By ascending number, so that the order of learning does not show. */
static void save(const void *model, struct buf *ret)
{
    const struct mahalanobis *m = model;
    uint16_t order[SYSCALLS_MAX];
    for (uint32_t i = 0; i < m->d; i++)
        order[i] = m->sysno[i];
    qsort(order, m->d, sizeof(*order), sysno_compare);
    buf_varint(ret, m->d);
    buf_f64(ret, m->sums.n);
    buf_f64(ret, m->sums.q);
    buf_f64(ret, m->sums.q2);
    for (uint32_t i = 0; i < m->d; i++) {
        uint16_t a = m->place[order[i]];
        buf_varint(ret, order[i]);
        buf_f64(ret, m->sums.x[a]);
        buf_f64(ret, m->sums.qx[a]);
        for (uint32_t j = 0; j <= i; j++) {
            uint16_t b = m->place[order[j]];
            buf_f64(ret, m->sums.xx[triangle(MAX(a, b)) + MIN(a, b)]);
        }
    }
}

/* Sums of logarithms of counts: anything else was not written by save. */
static double read_sum(struct reader *r)
{
    double v = reader_f64(r);
    if (!(v >= 0 && v < 1e18))
        r->error = -EBADMSG;
    return r->error ? 0 : v;
}

static int load(const void *data, size_t size, void **ret)
{
    CLEANUP(destroyp) void *model = NULL;
    int err = create(&model);
    if (err < 0)
        return err;
    struct mahalanobis *m = model;
    struct reader r;
    reader_init(&r, data, size);
    uint64_t d = reader_varint(&r);
    if (d > SYSCALLS_MAX)
        return -EBADMSG;
    m->sums.n = read_sum(&r);
    if (m->sums.n < 1 && (m->sums.n != 0 || d != 0))
        return -EBADMSG;
    m->sums.q = read_sum(&r);
    m->sums.q2 = read_sum(&r);
    for (uint32_t i = 0, after = 0; i < d && !r.error; i++) {
        uint64_t sysno = reader_varint(&r);
        if (sysno >= SYSNO_COUNT || sysno < after)
            return -EBADMSG;
        after = (uint32_t)sysno + 1;
        err = syscall_add(m, (uint16_t)sysno);
        if (err < 0)
            return err;
        m->sums.x[i] = read_sum(&r);
        m->sums.qx[i] = read_sum(&r);
        for (uint32_t j = 0; j <= i; j++)
            m->sums.xx[triangle(i) + j] = read_sum(&r);
    }
    if (r.error || reader_left(&r))
        return -EBADMSG;
    err = prepare(model);
    if (err < 0)
        return err == -EDOM ? -EBADMSG : err;
    *ret = TAKE(model);
    return 0;
}

/* A BLAS that starts threads of its own for such small matrices only costs. */
__attribute__((constructor)) static void single_thread(void)
{
    openblas_set_num_threads(1);
}

const struct detector detector_mahalanobis = {
    .name = "mahalanobis",
    .channel = CHANNEL_FREQUENCY,
    .samples = 1 << SAMPLE_BIN,
    .score_max = INFINITY,
    .create = create,
    .destroy = destroy,
    .learn = learn_and_refit,
    .score = score,
    .save = save,
    .load = load,
    .merge = merge,
    .prepare = prepare,
};
