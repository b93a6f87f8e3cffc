#include "upstream/decode.h"

#include <brotli/decode.h>
#include <stdlib.h>
#include <strings.h>
#include <zlib.h>
#include <zstd.h>

#include "base/mem.h"

#define WINDOW_LOG_MAX 23 /* of zstd: 8 MiB, what RFC 9659 asks for */
#define ZSTD_FIRST 0x28   /* byte of its magic number */

struct coding {
	const char *name;
	enum decoded (*run)(struct decoder *decoder, struct decode_step *step);
};

struct decoder {
	const struct coding *coding;
	bool is_begun;
	bool is_done;
	z_stream zlib;
	BrotliDecoderState *brotli;
	ZSTD_DStream *zstd;
};

static enum decoded run_zlib(struct decoder *decoder, struct decode_step *step)
{
	z_stream *zlib = &decoder->zlib;
	size_t in_size = step->in_size < UINT32_MAX ? step->in_size : UINT32_MAX;
	int rc;

	zlib->next_in = (unsigned char *)(uintptr_t)step->in;
	zlib->avail_in = (unsigned)in_size;
	zlib->next_out = (unsigned char *)step->out;
	zlib->avail_out = (unsigned)step->out_size;
	rc = inflate(zlib, Z_NO_FLUSH);
	step->in += in_size - zlib->avail_in;
	step->in_size -= in_size - zlib->avail_in;
	step->out += step->out_size - zlib->avail_out;
	step->out_size = zlib->avail_out;
	if (rc == Z_STREAM_END)
		return DECODED_END;
	if (rc != Z_OK && rc != Z_BUF_ERROR)
		return DECODED_BAD;
	return step->out_size ? DECODED_MORE : DECODED_FULL;
}

static enum decoded run_gzip(struct decoder *decoder, struct decode_step *step)
{
	if (!decoder->is_begun && inflateInit2(&decoder->zlib, 16 + MAX_WBITS) != Z_OK)
		return DECODED_BAD;
	decoder->is_begun = true;
	return run_zlib(decoder, step);
}

/* "deflate" means the format of zlib, but some send what is inside of it alone. */
static enum decoded run_deflate(struct decoder *decoder, struct decode_step *step)
{
	if (!decoder->is_begun) {
		int bits = (*step->in & 0x0f) == Z_DEFLATED ? MAX_WBITS : -MAX_WBITS;

		if (inflateInit2(&decoder->zlib, bits) != Z_OK)
			return DECODED_BAD;
		decoder->is_begun = true;
	}
	return run_zlib(decoder, step);
}

static enum decoded run_brotli(struct decoder *decoder, struct decode_step *step)
{
	const uint8_t *in = (const uint8_t *)step->in;
	uint8_t *out = (uint8_t *)step->out;
	BrotliDecoderResult result;

	if (!decoder->brotli)
		decoder->brotli = BrotliDecoderCreateInstance(NULL, NULL, NULL);
	result = BrotliDecoderDecompressStream(decoder->brotli, &step->in_size, &in,
		&step->out_size, &out, NULL);
	step->in = (const char *)in;
	step->out = (char *)out;
	switch (result) {
	case BROTLI_DECODER_RESULT_SUCCESS:
		return DECODED_END;
	case BROTLI_DECODER_RESULT_NEEDS_MORE_INPUT:
		return DECODED_MORE;
	case BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT:
		return DECODED_FULL;
	default:
		return DECODED_BAD;
	}
}

static enum decoded run_zstd(struct decoder *decoder, struct decode_step *step)
{
	ZSTD_inBuffer in = { .src = step->in, .size = step->in_size };
	ZSTD_outBuffer out = { .dst = step->out, .size = step->out_size };
	size_t rc;

	if (!decoder->zstd) {
		/* Not the formats before the one of RFC 8878, which the library knows. */
		if (*step->in != ZSTD_FIRST)
			return DECODED_BAD;
		decoder->zstd = ZSTD_createDStream();
		ZSTD_DCtx_setParameter(decoder->zstd, ZSTD_d_windowLogMax,
			WINDOW_LOG_MAX);
	}
	rc = ZSTD_decompressStream(decoder->zstd, &out, &in);
	step->in += in.pos;
	step->in_size -= in.pos;
	step->out += out.pos;
	step->out_size -= out.pos;
	if (ZSTD_isError(rc))
		return DECODED_BAD;
	if (rc == 0)
		return DECODED_END;
	return step->out_size ? DECODED_MORE : DECODED_FULL;
}

static const struct coding codings[] = {
	{ "gzip", run_gzip },
	{ "x-gzip", run_gzip },
	{ "deflate", run_deflate },
	{ "br", run_brotli },
	{ "zstd", run_zstd },
};

struct decoder *decoder_new(const char *coding)
{
	struct decoder *decoder;

	for (size_t i = 0; i < COUNT_OF(codings); i++) {
		if (strcasecmp(codings[i].name, coding) != 0)
			continue;
		decoder = xcalloc(1, sizeof(*decoder));
		decoder->coding = &codings[i];
		return decoder;
	}
	return NULL;
}

enum decoded decoder_run(struct decoder *decoder, struct decode_step *step)
{
	enum decoded result;

	if (decoder->is_done)
		return step->in_size ? DECODED_BAD : DECODED_END;
	result = decoder->coding->run(decoder, step);
	decoder->is_done = result == DECODED_END;
	return result;
}

bool decoder_is_done(const struct decoder *decoder)
{
	return decoder->is_done;
}

void decoder_free(struct decoder *decoder)
{
	if (!decoder)
		return;
	if (decoder->is_begun)
		inflateEnd(&decoder->zlib);
	if (decoder->brotli)
		BrotliDecoderDestroyInstance(decoder->brotli);
	ZSTD_freeDStream(decoder->zstd);
	free(decoder);
}
