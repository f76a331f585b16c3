/* A PKCS#11 module that acts as tests tell it, in front of a real one (PKCS #11 v2.40; no header is needed).

   ACTING_MODULE  the real module
   ACTING_FOLDER  holds what it is told, and what it did:
     flags     hex: added to the flags of C_GetTokenInfo
     room      two numbers in hex, given as ulFreePublicMemory and ulFreePrivateMemory by C_GetTokenInfo
     removable where there is such a file each slot says that its token can be taken out
     results   one line for each C_Login or C_SetPIN to come: a CK_RV in hex, which is returned without asking the real
               module, or "ok"; where no line is left the real module is asked
     typed     one line for each PIN typed at the pad: used where a PIN comes as NULL
     labels    where there is such a file no attribute of an object can be changed
     every     where there is such a file new keys want the PIN at every signature (CKA_ALWAYS_AUTHENTICATE)
     gate      where there is such a named pipe a key pair is made once somebody has opened and closed it
     login     where there is such a named pipe the real C_Login is called once somebody has opened and closed it
     hollow    where there is such a file the removal of a public key ends the process, as a crash does
     calls     is written: a line for each C_Login and C_SetPIN, with "pad" or "pin"; the first is "sign" where the user
               is CKU_CONTEXT_SPECIFIC */

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned long rv_t;
typedef struct { unsigned char version[2]; void *functions[68]; } list_t;
typedef struct { unsigned long kind; void *value; unsigned long length; } attribute_t;
typedef struct { unsigned char names[96]; unsigned long flags; } info_t; /* of a slot, and of a token */
typedef struct {
    info_t begin;
    unsigned long sessions[4], pin_lengths[2], total_public, free_public, total_private, free_private;
} token_info_t;

enum { GET_FUNCTION_LIST = 3, GET_SLOT_INFO = 5, GET_TOKEN_INFO = 6, SET_PIN = 11, LOGIN = 18,
       DESTROY_OBJECT = 22, GET_ATTRIBUTE_VALUE = 24, SET_ATTRIBUTE_VALUE = 25, GENERATE_KEY_PAIR = 59 };
enum { CONTEXT_SPECIFIC = 2, CLASS = 0, PUBLIC_KEY = 2, ALWAYS_AUTHENTICATE = 0x202, MOST_ATTRIBUTES = 32 };

static list_t ours, *real;

static FILE *opened(const char *name, const char *mode) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", getenv("ACTING_FOLDER"), name);
    return fopen(path, mode);
}

/* The first line of a file, which then begins with the next; 0 where there is none. */
static int next_line(const char *name, char *line, size_t size) {
    static char rest[65536];
    FILE *file = opened(name, "r");
    if (!file) return 0;
    int found = fgets(line, (int)size, file) != NULL;
    size_t length = found ? fread(rest, 1, sizeof rest, file) : 0;
    fclose(file);
    if (!found) return 0;
    line[strcspn(line, "\n")] = 0;
    file = opened(name, "w");
    fwrite(rest, 1, length, file);
    fclose(file);
    return 1;
}

static void note(const char *call, const void *pin) {
    FILE *file = opened("calls", "a");
    fprintf(file, "%s %s\n", call, pin ? "pin" : "pad");
    fclose(file);
}

static void wait_at(FILE *gate) {
    if (!gate) return;
    fgetc(gate);
    fclose(gate);
}

/* Whether a test has said how this call ends. */
static int told(rv_t *result) {
    char line[64];
    if (!next_line("results", line, sizeof line) || !strcmp(line, "ok")) return 0;
    *result = strtoul(line, NULL, 16);
    return 1;
}

static rv_t get_token_info(unsigned long slot, token_info_t *info) {
    rv_t result = ((rv_t(*)(unsigned long, token_info_t *))real->functions[GET_TOKEN_INFO])(slot, info);
    FILE *file = opened("flags", "r");
    unsigned long flags, public, private;
    if (file) {
        if (fscanf(file, "%lx", &flags) == 1) info->begin.flags |= flags;
        fclose(file);
    }
    if ((file = opened("room", "r"))) {
        if (fscanf(file, "%lx %lx", &public, &private) == 2) {
            info->free_public = public;
            info->free_private = private;
        }
        fclose(file);
    }
    return result;
}

static rv_t get_slot_info(unsigned long slot, info_t *info) {
    rv_t result = ((rv_t(*)(unsigned long, info_t *))real->functions[GET_SLOT_INFO])(slot, info);
    FILE *file = opened("removable", "r");
    if (file) {
        info->flags |= 2; /* CKF_REMOVABLE_DEVICE */
        fclose(file);
    }
    return result;
}

static rv_t login(unsigned long session, unsigned long user, unsigned char *pin, unsigned long length) {
    char typed[256];
    rv_t result;
    note(user == CONTEXT_SPECIFIC ? "sign" : "login", pin);
    if (told(&result)) return result;
    if (!pin) {
        if (!next_line("typed", typed, sizeof typed)) return 0x50; /* CKR_FUNCTION_CANCELED */
        pin = (unsigned char *)typed;
        length = strlen(typed);
    }
    wait_at(opened("login", "r"));
    return ((rv_t(*)(unsigned long, unsigned long, unsigned char *, unsigned long))real->functions[LOGIN])(
        session, user, pin, length);
}

static rv_t set_pin(unsigned long session, unsigned char *old, unsigned long old_length, unsigned char *new,
                    unsigned long new_length) {
    char present[256], chosen[256];
    rv_t result;
    note("set", old);
    if (told(&result)) return result;
    if (!old) {
        if (!next_line("typed", present, sizeof present) || !next_line("typed", chosen, sizeof chosen)) return 0x50;
        old = (unsigned char *)present;
        old_length = strlen(present);
        new = (unsigned char *)chosen;
        new_length = strlen(chosen);
    }
    return ((rv_t(*)(unsigned long, unsigned char *, unsigned long, unsigned char *, unsigned long))
                real->functions[SET_PIN])(session, old, old_length, new, new_length);
}

static rv_t destroy_object(unsigned long session, unsigned long object) {
    unsigned long class = 0;
    attribute_t asked = {CLASS, &class, sizeof class};
    FILE *file = opened("hollow", "r");
    if (file) {
        fclose(file);
        ((rv_t(*)(unsigned long, unsigned long, attribute_t *, unsigned long))real->functions[GET_ATTRIBUTE_VALUE])(
            session, object, &asked, 1);
        if (class == PUBLIC_KEY) abort();
    }
    return ((rv_t(*)(unsigned long, unsigned long))real->functions[DESTROY_OBJECT])(session, object);
}

static rv_t set_attribute_value(unsigned long session, unsigned long object, void *template, unsigned long count) {
    FILE *file = opened("labels", "r");
    if (file) {
        fclose(file);
        return 0x10; /* CKR_ATTRIBUTE_READ_ONLY */
    }
    return ((rv_t(*)(unsigned long, unsigned long, void *, unsigned long))real->functions[SET_ATTRIBUTE_VALUE])(
        session, object, template, count);
}

static rv_t generate_key_pair(unsigned long session, void *mechanism, void *public, unsigned long publics,
                              const attribute_t *private, unsigned long privates, void *made, void *made_private) {
    unsigned char yes = 1;
    attribute_t template[MOST_ATTRIBUTES + 1];
    FILE *file;
    wait_at(opened("gate", "r"));
    file = opened("every", "r");
    if (file) fclose(file);
    if (privates > MOST_ATTRIBUTES) return 5; /* CKR_GENERAL_ERROR */
    memcpy(template, private, privates * sizeof *private);
    template[privates] = (attribute_t){ALWAYS_AUTHENTICATE, &yes, sizeof yes};
    return ((rv_t(*)(unsigned long, void *, void *, unsigned long, attribute_t *, unsigned long, void *, void *))
                real->functions[GENERATE_KEY_PAIR])(session, mechanism, public, publics, template,
                                                    privates + (file != NULL), made, made_private);
}

rv_t C_GetFunctionList(list_t **list) {
    if (!real) {
        void *module = dlopen(getenv("ACTING_MODULE"), RTLD_NOW | RTLD_LOCAL);
        rv_t (*theirs)(list_t **) = module ? (rv_t(*)(list_t **))dlsym(module, "C_GetFunctionList") : NULL;
        if (!theirs || theirs(&real)) return 5; /* CKR_GENERAL_ERROR */
        ours = *real;
        ours.functions[GET_FUNCTION_LIST] = C_GetFunctionList;
        ours.functions[GET_SLOT_INFO] = get_slot_info;
        ours.functions[GET_TOKEN_INFO] = get_token_info;
        ours.functions[SET_PIN] = set_pin;
        ours.functions[LOGIN] = login;
        ours.functions[DESTROY_OBJECT] = destroy_object;
        ours.functions[GENERATE_KEY_PAIR] = generate_key_pair;
        ours.functions[SET_ATTRIBUTE_VALUE] = set_attribute_value;
    }
    *list = &ours;
    return 0;
}
