//! Names of keysyms, their values, and the characters of the legacy ones.
//!
//! Facts of X.Org's `keysymdef.h` and `XF86keysym.h`: `name=value`, hexadecimal, followed by
//! `:character` where a keysym from before Unicode stands for a character outside Latin-1. The first
//! name of a value is the one that is shown.

/// Entries are separated by blanks and line ends.
pub(super) const TABLE: &str = "\
BackSpace=ff08 Tab=ff09 Linefeed=ff0a Clear=ff0b Return=ff0d Pause=ff13 Scroll_Lock=ff14
Sys_Req=ff15 Escape=ff1b Delete=ffff Multi_key=ff20 Codeinput=ff37 SingleCandidate=ff3c
MultipleCandidate=ff3d PreviousCandidate=ff3e Kanji=ff21 Muhenkan=ff22 Henkan_Mode=ff23
Henkan=ff23 Romaji=ff24 Hiragana=ff25 Katakana=ff26 Hiragana_Katakana=ff27 Zenkaku=ff28
Hankaku=ff29 Zenkaku_Hankaku=ff2a Touroku=ff2b Massyo=ff2c Kana_Lock=ff2d Kana_Shift=ff2e
Eisu_Shift=ff2f Eisu_toggle=ff30 Kanji_Bangou=ff37 Zen_Koho=ff3d Mae_Koho=ff3e Home=ff50 Left=ff51
Up=ff52 Right=ff53 Down=ff54 Prior=ff55 Page_Up=ff55 Next=ff56 Page_Down=ff56 End=ff57 Begin=ff58
Select=ff60 Print=ff61 Execute=ff62 Insert=ff63 Undo=ff65 Redo=ff66 Menu=ff67 Find=ff68
Cancel=ff69 Help=ff6a Break=ff6b Mode_switch=ff7e script_switch=ff7e Num_Lock=ff7f KP_Space=ff80
KP_Tab=ff89 KP_Enter=ff8d KP_F1=ff91 KP_F2=ff92 KP_F3=ff93 KP_F4=ff94 KP_Home=ff95 KP_Left=ff96
KP_Up=ff97 KP_Right=ff98 KP_Down=ff99 KP_Prior=ff9a KP_Page_Up=ff9a KP_Next=ff9b KP_Page_Down=ff9b
KP_End=ff9c KP_Begin=ff9d KP_Insert=ff9e KP_Delete=ff9f KP_Equal=ffbd KP_Multiply=ffaa KP_Add=ffab
KP_Separator=ffac KP_Subtract=ffad KP_Decimal=ffae KP_Divide=ffaf KP_0=ffb0 KP_1=ffb1 KP_2=ffb2
KP_3=ffb3 KP_4=ffb4 KP_5=ffb5 KP_6=ffb6 KP_7=ffb7 KP_8=ffb8 KP_9=ffb9 F1=ffbe F2=ffbf F3=ffc0
F4=ffc1 F5=ffc2 F6=ffc3 F7=ffc4 F8=ffc5 F9=ffc6 F10=ffc7 F11=ffc8 L1=ffc8 F12=ffc9 L2=ffc9
F13=ffca L3=ffca F14=ffcb L4=ffcb F15=ffcc L5=ffcc F16=ffcd L6=ffcd F17=ffce L7=ffce F18=ffcf
L8=ffcf F19=ffd0 L9=ffd0 F20=ffd1 L10=ffd1 F21=ffd2 R1=ffd2 F22=ffd3 R2=ffd3 F23=ffd4 R3=ffd4
F24=ffd5 R4=ffd5 F25=ffd6 R5=ffd6 F26=ffd7 R6=ffd7 F27=ffd8 R7=ffd8 F28=ffd9 R8=ffd9 F29=ffda
R9=ffda F30=ffdb R10=ffdb F31=ffdc R11=ffdc F32=ffdd R12=ffdd F33=ffde R13=ffde F34=ffdf R14=ffdf
F35=ffe0 R15=ffe0 Shift_L=ffe1 Shift_R=ffe2 Control_L=ffe3 Control_R=ffe4 Caps_Lock=ffe5
Shift_Lock=ffe6 Meta_L=ffe7 Meta_R=ffe8 Alt_L=ffe9 Alt_R=ffea Super_L=ffeb Super_R=ffec
Hyper_L=ffed Hyper_R=ffee ISO_Level2_Latch=fe02 ISO_Level3_Shift=fe03 ISO_Level3_Latch=fe04
ISO_Level3_Lock=fe05 ISO_Level5_Shift=fe11 ISO_Level5_Latch=fe12 ISO_Level5_Lock=fe13
ISO_Left_Tab=fe20 dead_grave=fe50 dead_acute=fe51 dead_circumflex=fe52 dead_tilde=fe53
dead_perispomeni=fe53 dead_macron=fe54 dead_breve=fe55 dead_abovedot=fe56 dead_diaeresis=fe57
dead_abovering=fe58 dead_doubleacute=fe59 dead_caron=fe5a dead_cedilla=fe5b dead_ogonek=fe5c
dead_iota=fe5d dead_voiced_sound=fe5e dead_semivoiced_sound=fe5f dead_belowdot=fe60 dead_hook=fe61
dead_horn=fe62 dead_stroke=fe63 dead_abovecomma=fe64 dead_psili=fe64 dead_abovereversedcomma=fe65
dead_dasia=fe65 dead_doublegrave=fe66 dead_belowring=fe67 dead_belowmacron=fe68
dead_belowcircumflex=fe69 dead_belowtilde=fe6a dead_belowbreve=fe6b dead_belowdiaeresis=fe6c
dead_invertedbreve=fe6d dead_belowcomma=fe6e dead_currency=fe6f dead_lowline=fe90
dead_aboveverticalline=fe91 dead_belowverticalline=fe92 dead_longsolidusoverlay=fe93
First_Virtual_Screen=fed0 Prev_Virtual_Screen=fed1 Next_Virtual_Screen=fed2
Last_Virtual_Screen=fed4 Terminate_Server=fed5 AccessX_Enable=fe70 AccessX_Feedback_Enable=fe71
RepeatKeys_Enable=fe72 SlowKeys_Enable=fe73 BounceKeys_Enable=fe74 StickyKeys_Enable=fe75
MouseKeys_Enable=fe76 MouseKeys_Accel_Enable=fe77 Overlay1_Enable=fe78 Overlay2_Enable=fe79
AudibleBell_Enable=fe7a ch=fea0 Ch=fea1 CH=fea2 c_h=fea3 C_h=fea4 C_H=fea5 space=20 exclam=21
quotedbl=22 numbersign=23 dollar=24 percent=25 ampersand=26 apostrophe=27 quoteright=27
parenleft=28 parenright=29 asterisk=2a plus=2b comma=2c minus=2d period=2e slash=2f colon=3a
semicolon=3b less=3c equal=3d greater=3e question=3f at=40 bracketleft=5b backslash=5c
bracketright=5d asciicircum=5e underscore=5f grave=60 quoteleft=60 braceleft=7b bar=7c
braceright=7d asciitilde=7e nobreakspace=a0 exclamdown=a1 cent=a2 sterling=a3 currency=a4 yen=a5
brokenbar=a6 section=a7 diaeresis=a8 copyright=a9 ordfeminine=aa guillemotleft=ab notsign=ac
hyphen=ad registered=ae macron=af degree=b0 plusminus=b1 twosuperior=b2 threesuperior=b3 acute=b4
mu=b5 paragraph=b6 periodcentered=b7 cedilla=b8 onesuperior=b9 masculine=ba guillemotright=bb
onequarter=bc onehalf=bd threequarters=be questiondown=bf Agrave=c0 Aacute=c1 Acircumflex=c2
Atilde=c3 Adiaeresis=c4 Aring=c5 AE=c6 Ccedilla=c7 Egrave=c8 Eacute=c9 Ecircumflex=ca
Ediaeresis=cb Igrave=cc Iacute=cd Icircumflex=ce Idiaeresis=cf ETH=d0 Eth=d0 Ntilde=d1 Ograve=d2
Oacute=d3 Ocircumflex=d4 Otilde=d5 Odiaeresis=d6 multiply=d7 Oslash=d8 Ooblique=d8 Ugrave=d9
Uacute=da Ucircumflex=db Udiaeresis=dc Yacute=dd THORN=de Thorn=de ssharp=df agrave=e0 aacute=e1
acircumflex=e2 atilde=e3 adiaeresis=e4 aring=e5 ae=e6 ccedilla=e7 egrave=e8 eacute=e9
ecircumflex=ea ediaeresis=eb igrave=ec iacute=ed icircumflex=ee idiaeresis=ef eth=f0 ntilde=f1
ograve=f2 oacute=f3 ocircumflex=f4 otilde=f5 odiaeresis=f6 division=f7 oslash=f8 ooblique=f8
ugrave=f9 uacute=fa ucircumflex=fb udiaeresis=fc yacute=fd thorn=fe ydiaeresis=ff Aogonek=1a1:104
breve=1a2:2d8 Lstroke=1a3:141 Lcaron=1a5:13d Sacute=1a6:15a Scaron=1a9:160 Scedilla=1aa:15e
Tcaron=1ab:164 Zacute=1ac:179 Zcaron=1ae:17d Zabovedot=1af:17b aogonek=1b1:105 ogonek=1b2:2db
lstroke=1b3:142 lcaron=1b5:13e sacute=1b6:15b caron=1b7:2c7 scaron=1b9:161 scedilla=1ba:15f
tcaron=1bb:165 zacute=1bc:17a doubleacute=1bd:2dd zcaron=1be:17e zabovedot=1bf:17c Racute=1c0:154
Abreve=1c3:102 Lacute=1c5:139 Cacute=1c6:106 Ccaron=1c8:10c Eogonek=1ca:118 Ecaron=1cc:11a
Dcaron=1cf:10e Dstroke=1d0:110 Nacute=1d1:143 Ncaron=1d2:147 Odoubleacute=1d5:150 Rcaron=1d8:158
Uring=1d9:16e Udoubleacute=1db:170 Tcedilla=1de:162 racute=1e0:155 abreve=1e3:103 lacute=1e5:13a
cacute=1e6:107 ccaron=1e8:10d eogonek=1ea:119 ecaron=1ec:11b dcaron=1ef:10f dstroke=1f0:111
nacute=1f1:144 ncaron=1f2:148 odoubleacute=1f5:151 rcaron=1f8:159 uring=1f9:16f
udoubleacute=1fb:171 tcedilla=1fe:163 abovedot=1ff:2d9 Hstroke=2a1:126 Hcircumflex=2a6:124
Iabovedot=2a9:130 Gbreve=2ab:11e Jcircumflex=2ac:134 hstroke=2b1:127 hcircumflex=2b6:125
idotless=2b9:131 gbreve=2bb:11f jcircumflex=2bc:135 Cabovedot=2c5:10a Ccircumflex=2c6:108
Gabovedot=2d5:120 Gcircumflex=2d8:11c Ubreve=2dd:16c Scircumflex=2de:15c cabovedot=2e5:10b
ccircumflex=2e6:109 gabovedot=2f5:121 gcircumflex=2f8:11d ubreve=2fd:16d scircumflex=2fe:15d
kra=3a2:138 kappa=3a2 Rcedilla=3a3:156 Itilde=3a5:128 Lcedilla=3a6:13b Emacron=3aa:112
Gcedilla=3ab:122 Tslash=3ac:166 rcedilla=3b3:157 itilde=3b5:129 lcedilla=3b6:13c emacron=3ba:113
gcedilla=3bb:123 tslash=3bc:167 ENG=3bd:14a eng=3bf:14b Amacron=3c0:100 Iogonek=3c7:12e
Eabovedot=3cc:116 Imacron=3cf:12a Ncedilla=3d1:145 Omacron=3d2:14c Kcedilla=3d3:136
Uogonek=3d9:172 Utilde=3dd:168 Umacron=3de:16a amacron=3e0:101 iogonek=3e7:12f eabovedot=3ec:117
imacron=3ef:12b ncedilla=3f1:146 omacron=3f2:14d kcedilla=3f3:137 uogonek=3f9:173 utilde=3fd:169
umacron=3fe:16b OE=13bc:152 oe=13bd:153 Ydiaeresis=13be:178 overline=47e:203e
kana_fullstop=4a1:3002 kana_openingbracket=4a2:300c kana_closingbracket=4a3:300d
kana_comma=4a4:3001 kana_conjunctive=4a5:30fb kana_WO=4a6:30f2 kana_a=4a7:30a1 kana_i=4a8:30a3
kana_u=4a9:30a5 kana_e=4aa:30a7 kana_o=4ab:30a9 kana_ya=4ac:30e3 kana_yu=4ad:30e5 kana_yo=4ae:30e7
kana_tsu=4af:30c3 prolongedsound=4b0:30fc kana_A=4b1:30a2 kana_I=4b2:30a4 kana_U=4b3:30a6
kana_E=4b4:30a8 kana_O=4b5:30aa kana_KA=4b6:30ab kana_KI=4b7:30ad kana_KU=4b8:30af
kana_KE=4b9:30b1 kana_KO=4ba:30b3 kana_SA=4bb:30b5 kana_SHI=4bc:30b7 kana_SU=4bd:30b9
kana_SE=4be:30bb kana_SO=4bf:30bd kana_TA=4c0:30bf kana_CHI=4c1:30c1 kana_TSU=4c2:30c4
kana_TE=4c3:30c6 kana_TO=4c4:30c8 kana_NA=4c5:30ca kana_NI=4c6:30cb kana_NU=4c7:30cc
kana_NE=4c8:30cd kana_NO=4c9:30ce kana_HA=4ca:30cf kana_HI=4cb:30d2 kana_FU=4cc:30d5
kana_HE=4cd:30d8 kana_HO=4ce:30db kana_MA=4cf:30de kana_MI=4d0:30df kana_MU=4d1:30e0
kana_ME=4d2:30e1 kana_MO=4d3:30e2 kana_YA=4d4:30e4 kana_YU=4d5:30e6 kana_YO=4d6:30e8
kana_RA=4d7:30e9 kana_RI=4d8:30ea kana_RU=4d9:30eb kana_RE=4da:30ec kana_RO=4db:30ed
kana_WA=4dc:30ef kana_N=4dd:30f3 voicedsound=4de:309b semivoicedsound=4df:309c
Arabic_comma=5ac:60c Arabic_semicolon=5bb:61b Arabic_question_mark=5bf:61f Arabic_hamza=5c1:621
Arabic_maddaonalef=5c2:622 Arabic_hamzaonalef=5c3:623 Arabic_hamzaonwaw=5c4:624
Arabic_hamzaunderalef=5c5:625 Arabic_hamzaonyeh=5c6:626 Arabic_alef=5c7:627 Arabic_beh=5c8:628
Arabic_tehmarbuta=5c9:629 Arabic_teh=5ca:62a Arabic_theh=5cb:62b Arabic_jeem=5cc:62c
Arabic_hah=5cd:62d Arabic_khah=5ce:62e Arabic_dal=5cf:62f Arabic_thal=5d0:630 Arabic_ra=5d1:631
Arabic_zain=5d2:632 Arabic_seen=5d3:633 Arabic_sheen=5d4:634 Arabic_sad=5d5:635 Arabic_dad=5d6:636
Arabic_tah=5d7:637 Arabic_zah=5d8:638 Arabic_ain=5d9:639 Arabic_ghain=5da:63a
Arabic_tatweel=5e0:640 Arabic_feh=5e1:641 Arabic_qaf=5e2:642 Arabic_kaf=5e3:643 Arabic_lam=5e4:644
Arabic_meem=5e5:645 Arabic_noon=5e6:646 Arabic_ha=5e7:647 Arabic_waw=5e8:648
Arabic_alefmaksura=5e9:649 Arabic_yeh=5ea:64a Arabic_fathatan=5eb:64b Arabic_dammatan=5ec:64c
Arabic_kasratan=5ed:64d Arabic_fatha=5ee:64e Arabic_damma=5ef:64f Arabic_kasra=5f0:650
Arabic_shadda=5f1:651 Arabic_sukun=5f2:652 Serbian_dje=6a1:452 Macedonia_gje=6a2:453
Cyrillic_io=6a3:451 Ukrainian_ie=6a4:454 Ukranian_je=6a4 Macedonia_dse=6a5:455 Ukrainian_i=6a6:456
Ukranian_i=6a6 Ukrainian_yi=6a7:457 Ukranian_yi=6a7 Cyrillic_je=6a8:458 Serbian_je=6a8
Cyrillic_lje=6a9:459 Serbian_lje=6a9 Cyrillic_nje=6aa:45a Serbian_nje=6aa Serbian_tshe=6ab:45b
Macedonia_kje=6ac:45c Ukrainian_ghe_with_upturn=6ad:491 Byelorussian_shortu=6ae:45e
Cyrillic_dzhe=6af:45f Serbian_dze=6af numerosign=6b0:2116 Serbian_DJE=6b1:402
Macedonia_GJE=6b2:403 Cyrillic_IO=6b3:401 Ukrainian_IE=6b4:404 Ukranian_JE=6b4
Macedonia_DSE=6b5:405 Ukrainian_I=6b6:406 Ukranian_I=6b6 Ukrainian_YI=6b7:407 Ukranian_YI=6b7
Cyrillic_JE=6b8:408 Serbian_JE=6b8 Cyrillic_LJE=6b9:409 Serbian_LJE=6b9 Cyrillic_NJE=6ba:40a
Serbian_NJE=6ba Serbian_TSHE=6bb:40b Macedonia_KJE=6bc:40c Ukrainian_GHE_WITH_UPTURN=6bd:490
Byelorussian_SHORTU=6be:40e Cyrillic_DZHE=6bf:40f Serbian_DZE=6bf Cyrillic_yu=6c0:44e
Cyrillic_a=6c1:430 Cyrillic_be=6c2:431 Cyrillic_tse=6c3:446 Cyrillic_de=6c4:434
Cyrillic_ie=6c5:435 Cyrillic_ef=6c6:444 Cyrillic_ghe=6c7:433 Cyrillic_ha=6c8:445
Cyrillic_i=6c9:438 Cyrillic_shorti=6ca:439 Cyrillic_ka=6cb:43a Cyrillic_el=6cc:43b
Cyrillic_em=6cd:43c Cyrillic_en=6ce:43d Cyrillic_o=6cf:43e Cyrillic_pe=6d0:43f Cyrillic_ya=6d1:44f
Cyrillic_er=6d2:440 Cyrillic_es=6d3:441 Cyrillic_te=6d4:442 Cyrillic_u=6d5:443
Cyrillic_zhe=6d6:436 Cyrillic_ve=6d7:432 Cyrillic_softsign=6d8:44c Cyrillic_yeru=6d9:44b
Cyrillic_ze=6da:437 Cyrillic_sha=6db:448 Cyrillic_e=6dc:44d Cyrillic_shcha=6dd:449
Cyrillic_che=6de:447 Cyrillic_hardsign=6df:44a Cyrillic_YU=6e0:42e Cyrillic_A=6e1:410
Cyrillic_BE=6e2:411 Cyrillic_TSE=6e3:426 Cyrillic_DE=6e4:414 Cyrillic_IE=6e5:415
Cyrillic_EF=6e6:424 Cyrillic_GHE=6e7:413 Cyrillic_HA=6e8:425 Cyrillic_I=6e9:418
Cyrillic_SHORTI=6ea:419 Cyrillic_KA=6eb:41a Cyrillic_EL=6ec:41b Cyrillic_EM=6ed:41c
Cyrillic_EN=6ee:41d Cyrillic_O=6ef:41e Cyrillic_PE=6f0:41f Cyrillic_YA=6f1:42f Cyrillic_ER=6f2:420
Cyrillic_ES=6f3:421 Cyrillic_TE=6f4:422 Cyrillic_U=6f5:423 Cyrillic_ZHE=6f6:416
Cyrillic_VE=6f7:412 Cyrillic_SOFTSIGN=6f8:42c Cyrillic_YERU=6f9:42b Cyrillic_ZE=6fa:417
Cyrillic_SHA=6fb:428 Cyrillic_E=6fc:42d Cyrillic_SHCHA=6fd:429 Cyrillic_CHE=6fe:427
Cyrillic_HARDSIGN=6ff:42a Greek_ALPHAaccent=7a1:386 Greek_EPSILONaccent=7a2:388
Greek_ETAaccent=7a3:389 Greek_IOTAaccent=7a4:38a Greek_IOTAdieresis=7a5:3aa
Greek_IOTAdiaeresis=7a5 Greek_OMICRONaccent=7a7:38c Greek_UPSILONaccent=7a8:38e
Greek_UPSILONdieresis=7a9:3ab Greek_OMEGAaccent=7ab:38f Greek_accentdieresis=7ae:385
Greek_horizbar=7af:2015 Greek_alphaaccent=7b1:3ac Greek_epsilonaccent=7b2:3ad
Greek_etaaccent=7b3:3ae Greek_iotaaccent=7b4:3af Greek_iotadieresis=7b5:3ca
Greek_iotaaccentdieresis=7b6:390 Greek_omicronaccent=7b7:3cc Greek_upsilonaccent=7b8:3cd
Greek_upsilondieresis=7b9:3cb Greek_upsilonaccentdieresis=7ba:3b0 Greek_omegaaccent=7bb:3ce
Greek_ALPHA=7c1:391 Greek_BETA=7c2:392 Greek_GAMMA=7c3:393 Greek_DELTA=7c4:394
Greek_EPSILON=7c5:395 Greek_ZETA=7c6:396 Greek_ETA=7c7:397 Greek_THETA=7c8:398 Greek_IOTA=7c9:399
Greek_KAPPA=7ca:39a Greek_LAMDA=7cb:39b Greek_LAMBDA=7cb:39b Greek_MU=7cc:39c Greek_NU=7cd:39d
Greek_XI=7ce:39e Greek_OMICRON=7cf:39f Greek_PI=7d0:3a0 Greek_RHO=7d1:3a1 Greek_SIGMA=7d2:3a3
Greek_TAU=7d4:3a4 Greek_UPSILON=7d5:3a5 Greek_PHI=7d6:3a6 Greek_CHI=7d7:3a7 Greek_PSI=7d8:3a8
Greek_OMEGA=7d9:3a9 Greek_alpha=7e1:3b1 Greek_beta=7e2:3b2 Greek_gamma=7e3:3b3 Greek_delta=7e4:3b4
Greek_epsilon=7e5:3b5 Greek_zeta=7e6:3b6 Greek_eta=7e7:3b7 Greek_theta=7e8:3b8 Greek_iota=7e9:3b9
Greek_kappa=7ea:3ba Greek_lamda=7eb:3bb Greek_lambda=7eb:3bb Greek_mu=7ec:3bc Greek_nu=7ed:3bd
Greek_xi=7ee:3be Greek_omicron=7ef:3bf Greek_pi=7f0:3c0 Greek_rho=7f1:3c1 Greek_sigma=7f2:3c3
Greek_finalsmallsigma=7f3:3c2 Greek_tau=7f4:3c4 Greek_upsilon=7f5:3c5 Greek_phi=7f6:3c6
Greek_chi=7f7:3c7 Greek_psi=7f8:3c8 Greek_omega=7f9:3c9 Greek_switch=ff7e leftradical=8a1:23b7
topleftradical=8a2 horizconnector=8a3 topintegral=8a4:2320 botintegral=8a5:2321 vertconnector=8a6
topleftsqbracket=8a7:23a1 botleftsqbracket=8a8:23a3 toprightsqbracket=8a9:23a4
botrightsqbracket=8aa:23a6 topleftparens=8ab:239b botleftparens=8ac:239d toprightparens=8ad:239e
botrightparens=8ae:23a0 leftmiddlecurlybrace=8af:23a8 rightmiddlecurlybrace=8b0:23ac
topleftsummation=8b1 botleftsummation=8b2 topvertsummationconnector=8b3
botvertsummationconnector=8b4 toprightsummation=8b5 botrightsummation=8b6 rightmiddlesummation=8b7
lessthanequal=8bc:2264 notequal=8bd:2260 greaterthanequal=8be:2265 integral=8bf:222b
therefore=8c0:2234 variation=8c1:221d infinity=8c2:221e nabla=8c5:2207 approximate=8c8:223c
similarequal=8c9:2243 ifonlyif=8cd:21d4 implies=8ce:21d2 identical=8cf:2261 radical=8d6:221a
includedin=8da:2282 includes=8db:2283 intersection=8dc:2229 union=8dd:222a logicaland=8de:2227
logicalor=8df:2228 partialderivative=8ef:2202 function=8f6:192 leftarrow=8fb:2190 uparrow=8fc:2191
rightarrow=8fd:2192 downarrow=8fe:2193 blank=9df soliddiamond=9e0:25c6 checkerboard=9e1:2592
ht=9e2:2409 ff=9e3:240c cr=9e4:240d lf=9e5:240a nl=9e8:2424 vt=9e9:240b lowrightcorner=9ea:2518
uprightcorner=9eb:2510 upleftcorner=9ec:250c lowleftcorner=9ed:2514 crossinglines=9ee:253c
horizlinescan1=9ef:23ba horizlinescan3=9f0:23bb horizlinescan5=9f1:2500 horizlinescan7=9f2:23bc
horizlinescan9=9f3:23bd leftt=9f4:251c rightt=9f5:2524 bott=9f6:2534 topt=9f7:252c
vertbar=9f8:2502 emspace=aa1:2003 enspace=aa2:2002 em3space=aa3:2004 em4space=aa4:2005
digitspace=aa5:2007 punctspace=aa6:2008 thinspace=aa7:2009 hairspace=aa8:200a emdash=aa9:2014
endash=aaa:2013 signifblank=aac ellipsis=aae:2026 doubbaselinedot=aaf:2025 onethird=ab0:2153
twothirds=ab1:2154 onefifth=ab2:2155 twofifths=ab3:2156 threefifths=ab4:2157 fourfifths=ab5:2158
onesixth=ab6:2159 fivesixths=ab7:215a careof=ab8:2105 figdash=abb:2012 leftanglebracket=abc
decimalpoint=abd rightanglebracket=abe marker=abf oneeighth=ac3:215b threeeighths=ac4:215c
fiveeighths=ac5:215d seveneighths=ac6:215e trademark=ac9:2122 signaturemark=aca
trademarkincircle=acb leftopentriangle=acc rightopentriangle=acd emopencircle=ace
emopenrectangle=acf leftsinglequotemark=ad0:2018 rightsinglequotemark=ad1:2019
leftdoublequotemark=ad2:201c rightdoublequotemark=ad3:201d prescription=ad4:211e permille=ad5:2030
minutes=ad6:2032 seconds=ad7:2033 latincross=ad9:271d hexagram=ada filledrectbullet=adb
filledlefttribullet=adc filledrighttribullet=add emfilledcircle=ade emfilledrect=adf
enopencircbullet=ae0 enopensquarebullet=ae1 openrectbullet=ae2 opentribulletup=ae3
opentribulletdown=ae4 openstar=ae5 enfilledcircbullet=ae6 enfilledsqbullet=ae7
filledtribulletup=ae8 filledtribulletdown=ae9 leftpointer=aea rightpointer=aeb club=aec:2663
diamond=aed:2666 heart=aee:2665 maltesecross=af0:2720 dagger=af1:2020 doubledagger=af2:2021
checkmark=af3:2713 ballotcross=af4:2717 musicalsharp=af5:266f musicalflat=af6:266d
malesymbol=af7:2642 femalesymbol=af8:2640 telephone=af9:260e telephonerecorder=afa:2315
phonographcopyright=afb:2117 caret=afc:2038 singlelowquotemark=afd:201a
doublelowquotemark=afe:201e cursor=aff leftcaret=ba3 rightcaret=ba6 downcaret=ba8 upcaret=ba9
overbar=bc0 downtack=bc2:22a4 upshoe=bc3 downstile=bc4:230a underbar=bc6 jot=bca:2218
quad=bcc:2395 uptack=bce:22a5 circle=bcf:25cb upstile=bd3:2308 downshoe=bd6 rightshoe=bd8
leftshoe=bda lefttack=bdc:22a3 righttack=bfc:22a2 hebrew_doublelowline=cdf:2017
hebrew_aleph=ce0:5d0 hebrew_bet=ce1:5d1 hebrew_gimel=ce2:5d2 hebrew_dalet=ce3:5d3
hebrew_he=ce4:5d4 hebrew_waw=ce5:5d5 hebrew_zain=ce6:5d6 hebrew_chet=ce7:5d7 hebrew_tet=ce8:5d8
hebrew_yod=ce9:5d9 hebrew_finalkaph=cea:5da hebrew_kaph=ceb:5db hebrew_lamed=cec:5dc
hebrew_finalmem=ced:5dd hebrew_mem=cee:5de hebrew_finalnun=cef:5df hebrew_nun=cf0:5e0
hebrew_samech=cf1:5e1 hebrew_ayin=cf2:5e2 hebrew_finalpe=cf3:5e3 hebrew_pe=cf4:5e4
hebrew_finalzade=cf5:5e5 hebrew_zade=cf6:5e6 hebrew_qoph=cf7:5e7 hebrew_resh=cf8:5e8
hebrew_shin=cf9:5e9 hebrew_taw=cfa:5ea Hebrew_switch=ff7e Thai_kokai=da1:e01 Thai_khokhai=da2:e02
Thai_khokhuat=da3:e03 Thai_khokhwai=da4:e04 Thai_khokhon=da5:e05 Thai_khorakhang=da6:e06
Thai_ngongu=da7:e07 Thai_chochan=da8:e08 Thai_choching=da9:e09 Thai_chochang=daa:e0a
Thai_soso=dab:e0b Thai_chochoe=dac:e0c Thai_yoying=dad:e0d Thai_dochada=dae:e0e
Thai_topatak=daf:e0f Thai_thothan=db0:e10 Thai_thonangmontho=db1:e11 Thai_thophuthao=db2:e12
Thai_nonen=db3:e13 Thai_dodek=db4:e14 Thai_totao=db5:e15 Thai_thothung=db6:e16
Thai_thothahan=db7:e17 Thai_thothong=db8:e18 Thai_nonu=db9:e19 Thai_bobaimai=dba:e1a
Thai_popla=dbb:e1b Thai_phophung=dbc:e1c Thai_fofa=dbd:e1d Thai_phophan=dbe:e1e Thai_fofan=dbf:e1f
Thai_phosamphao=dc0:e20 Thai_moma=dc1:e21 Thai_yoyak=dc2:e22 Thai_rorua=dc3:e23 Thai_ru=dc4:e24
Thai_loling=dc5:e25 Thai_lu=dc6:e26 Thai_wowaen=dc7:e27 Thai_sosala=dc8:e28 Thai_sorusi=dc9:e29
Thai_sosua=dca:e2a Thai_hohip=dcb:e2b Thai_lochula=dcc:e2c Thai_oang=dcd:e2d Thai_honokhuk=dce:e2e
Thai_paiyannoi=dcf:e2f Thai_saraa=dd0:e30 Thai_maihanakat=dd1:e31 Thai_saraaa=dd2:e32
Thai_saraam=dd3:e33 Thai_sarai=dd4:e34 Thai_saraii=dd5:e35 Thai_saraue=dd6:e36
Thai_sarauee=dd7:e37 Thai_sarau=dd8:e38 Thai_sarauu=dd9:e39 Thai_phinthu=dda:e3a Thai_baht=ddf:e3f
Thai_sarae=de0:e40 Thai_saraae=de1:e41 Thai_sarao=de2:e42 Thai_saraaimaimuan=de3:e43
Thai_saraaimaimalai=de4:e44 Thai_lakkhangyao=de5:e45 Thai_maiyamok=de6:e46 Thai_maitaikhu=de7:e47
Thai_maiek=de8:e48 Thai_maitho=de9:e49 Thai_maitri=dea:e4a Thai_maichattawa=deb:e4b
Thai_thanthakhat=dec:e4c Thai_nikhahit=ded:e4d Thai_leksun=df0:e50 Thai_leknung=df1:e51
Thai_leksong=df2:e52 Thai_leksam=df3:e53 Thai_leksi=df4:e54 Thai_lekha=df5:e55 Thai_lekhok=df6:e56
Thai_lekchet=df7:e57 Thai_lekpaet=df8:e58 Thai_lekkao=df9:e59 EuroSign=20ac:20ac
XF86MonBrightnessUp=1008ff02 XF86MonBrightnessDown=1008ff03 XF86KbdLightOnOff=1008ff04
XF86KbdBrightnessUp=1008ff05 XF86KbdBrightnessDown=1008ff06 XF86Standby=1008ff10
XF86AudioLowerVolume=1008ff11 XF86AudioMute=1008ff12 XF86AudioRaiseVolume=1008ff13
XF86AudioPlay=1008ff14 XF86AudioStop=1008ff15 XF86AudioPrev=1008ff16 XF86AudioNext=1008ff17
XF86HomePage=1008ff18 XF86Mail=1008ff19 XF86Start=1008ff1a XF86Search=1008ff1b
XF86AudioRecord=1008ff1c XF86Calculator=1008ff1d XF86Memo=1008ff1e XF86ToDoList=1008ff1f
XF86Calendar=1008ff20 XF86PowerDown=1008ff21 XF86ContrastAdjust=1008ff22 XF86Back=1008ff26
XF86Forward=1008ff27 XF86Stop=1008ff28 XF86Refresh=1008ff29 XF86PowerOff=1008ff2a
XF86WakeUp=1008ff2b XF86Eject=1008ff2c XF86ScreenSaver=1008ff2d XF86WWW=1008ff2e
XF86Sleep=1008ff2f XF86Favorites=1008ff30 XF86AudioPause=1008ff31 XF86AudioMedia=1008ff32
XF86MyComputer=1008ff33 XF86Shop=1008ff36 XF86AddFavorite=1008ff39 XF86Finance=1008ff3c
XF86AudioRewind=1008ff3e XF86BackForward=1008ff3f XF86Launch0=1008ff40 XF86Launch1=1008ff41
XF86Launch2=1008ff42 XF86Launch3=1008ff43 XF86Launch4=1008ff44 XF86Launch5=1008ff45
XF86Launch6=1008ff46 XF86Launch7=1008ff47 XF86Launch8=1008ff48 XF86Launch9=1008ff49
XF86LaunchA=1008ff4a XF86LaunchB=1008ff4b XF86LaunchC=1008ff4c XF86LaunchD=1008ff4d
XF86LaunchE=1008ff4e XF86LaunchF=1008ff4f XF86ApplicationLeft=1008ff50
XF86ApplicationRight=1008ff51 XF86Book=1008ff52 XF86CD=1008ff53 XF86Clear=1008ff55
XF86Close=1008ff56 XF86Copy=1008ff57 XF86Cut=1008ff58 XF86Display=1008ff59 XF86Documents=1008ff5b
XF86Excel=1008ff5c XF86Explorer=1008ff5d XF86Game=1008ff5e XF86Go=1008ff5f XF86iTouch=1008ff60
XF86LogOff=1008ff61 XF86Market=1008ff62 XF86MenuKB=1008ff65 XF86MenuPB=1008ff66 XF86New=1008ff68
XF86News=1008ff69 XF86Open=1008ff6b XF86Option=1008ff6c XF86Paste=1008ff6d XF86Phone=1008ff6e
XF86Reply=1008ff72 XF86Reload=1008ff73 XF86RotateWindows=1008ff74 XF86Save=1008ff77
XF86ScrollUp=1008ff78 XF86ScrollDown=1008ff79 XF86ScrollClick=1008ff7a XF86Send=1008ff7b
XF86Spell=1008ff7c XF86SplitScreen=1008ff7d XF86Support=1008ff7e XF86Terminal=1008ff80
XF86Tools=1008ff81 XF86Travel=1008ff82 XF86UserPB=1008ff84 XF86User1KB=1008ff85 XF86Video=1008ff87
XF86Word=1008ff89 XF86Xfer=1008ff8a XF86ZoomIn=1008ff8b XF86ZoomOut=1008ff8c XF86Away=1008ff8d
XF86Messenger=1008ff8e XF86WebCam=1008ff8f XF86Pictures=1008ff91 XF86Music=1008ff92
XF86Battery=1008ff93 XF86Bluetooth=1008ff94 XF86WLAN=1008ff95 XF86UWB=1008ff96
XF86AudioForward=1008ff97 XF86AudioRepeat=1008ff98 XF86AudioRandomPlay=1008ff99
XF86Subtitle=1008ff9a XF86CycleAngle=1008ff9c XF86FrameBack=1008ff9d XF86FrameForward=1008ff9e
XF86Time=1008ff9f XF86Select=1008ffa0 XF86View=1008ffa1 XF86TopMenu=1008ffa2 XF86Red=1008ffa3
XF86Green=1008ffa4 XF86Yellow=1008ffa5 XF86Blue=1008ffa6 XF86Suspend=1008ffa7
XF86Hibernate=1008ffa8 XF86TouchpadToggle=1008ffa9 XF86TouchpadOn=1008ffb0
XF86TouchpadOff=1008ffb1 XF86AudioMicMute=1008ffb2 XF86WWAN=1008ffb4 XF86RFKill=1008ffb5
XF86AudioPreset=1008ffb6 XF86ClearGrab=1008fe21
";
