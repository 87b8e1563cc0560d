/* dm_stream.c: frames and JSON to the reader.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (c) 2026, the diagmem authors
 *
 * A frame is {u32 type, u32 0, u64 bytes} and that many bytes, little endian
 * as the machine is.  META holds one JSON object; EVENTS and SUMMARY are
 * described where they are written.  The writer never waits for an answer.
 */
#include "dm_core.h"

static struct {
   HChar* text;
   SizeT used, room;
   Bool comma;
} json;

void dm_stream_frame(DmFrameType type, ULong bytes)
{
   struct { UInt type, zero; ULong bytes; } head = { type, 0, bytes };
   dm_stream_bytes(&head, sizeof head);
}

/* ---- JSON ---- */

static void put_char(HChar c)
{
   if (json.used + 1 >= json.room) {
      json.room = json.room ? 2 * json.room : 1024;
      json.text = dm_resize("dm.json", json.text, json.room);
   }
   json.text[json.used++] = c;
}

static void put_raw(const HChar* s)
{
   while (*s) put_char(*s++);
}

static void put_quoted(const HChar* s)
{
   HChar hex[8];
   put_char('"');
   for (; *s; s++) {
      if (*s == '"' || *s == '\\') {
         put_char('\\');
         put_char(*s);
      } else if ((UChar)*s < 0x20) {
         dm_sprintf(hex, "\\u%04x", (UChar)*s);
         put_raw(hex);
      } else {
         put_char(*s);
      }
   }
   put_char('"');
}

static void put_key(const HChar* key)
{
   if (json.comma) put_char(',');
   json.comma = True;
   if (key) {
      put_quoted(key);
      put_char(':');
   }
}

void dm_json_begin(const HChar* type)
{
   json.used = 0;
   json.comma = False;
   put_char('{');
   dm_json_text("type", type);
}

void dm_json_text(const HChar* key, const HChar* value)
{
   put_key(key);
   put_quoted(value);
}

void dm_json_number(const HChar* key, ULong value)
{
   HChar digits[24];
   dm_sprintf(digits, "%llu", value);
   put_key(key);
   put_raw(digits);
}

void dm_json_open(const HChar* key, HChar bracket)
{
   put_key(key);
   put_char(bracket);
   json.comma = False;
}

void dm_json_close(HChar bracket)
{
   put_char(bracket);
   json.comma = True;
}

void dm_json_send(void)
{
   put_char('}');
   dm_stream_frame(DM_META, json.used);
   dm_stream_bytes(json.text, json.used);
}

void dm_fail(const HChar* format, ...)
{
   HChar message[1024];
   va_list args;
   va_start(args, format);
   dm_vsnprintf(message, sizeof message, format, args);
   va_end(args);
   dm_json_begin("error");
   dm_json_text("message", message);
   dm_json_send();
   dm_stream_close();
   dm_stop(message);
}
